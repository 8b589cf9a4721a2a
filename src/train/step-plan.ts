import { InputError } from "../errors.ts";
import type { Example } from "./examples.ts";
import { Random, shuffledIndex } from "./random.ts";

/**
 * Examples of every step of an epoch, in an order that follows from the seed. An example whose texts are in the step
 * already, often another hypothesis of the same premise, waits for a later one: as in-batch negatives they would pull
 * apart what belongs together. What does not fill a step is left out.
 * @returns [steps][batchSize] indexes of examples
 * @throws InputError "bad-option" for fewer examples than a step needs
 */
export function planEpoch(examples: readonly Example[], batchSize: number, seed: number): number[][] {
  const steps: number[][] = [];
  let left: readonly number[] = Array.from(shuffledIndex(examples.length, new Random(seed)));
  while (left.length >= batchSize) {
    const { step, rest } = fillStep(left, examples, batchSize);
    if (step.length < batchSize) break;
    steps.push(step);
    left = rest;
  }
  if (steps.length > 0) return steps;
  throw new InputError(
    "bad-option",
    `${examples.length} examples do not fill a batch of ${batchSize} without a text twice. Lower the batch size.`,
  );
}

/** The first examples of `left` that fit together, and the others in their order. */
function fillStep(left: readonly number[], examples: readonly Example[], batchSize: number) {
  const step: number[] = [];
  const waiting: number[] = [];
  const texts = new Set<string>();
  let at = 0;
  for (; at < left.length && step.length < batchSize; at++) {
    const { anchor, positive } = examples[left[at]!]!;
    if (texts.has(anchor) || texts.has(positive)) waiting.push(left[at]!);
    else {
      texts.add(anchor).add(positive);
      step.push(left[at]!);
    }
  }
  return { step, rest: [...waiting, ...left.slice(at)] };
}
