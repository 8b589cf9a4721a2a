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
  let waiting: number[] = [];
  let step: number[] = [];
  let texts = new Set<string>();
  const take = (i: number): boolean => {
    const { anchor, positive } = examples[i]!;
    if (texts.has(anchor) || texts.has(positive)) return false;
    texts.add(anchor).add(positive);
    step.push(i);
    if (step.length < batchSize) return true;
    steps.push(step);
    step = [];
    texts = new Set();
    waiting = waiting.filter((other) => !take(other));
    return true;
  };
  for (const i of shuffledIndex(examples.length, new Random(seed))) if (!take(i)) waiting.push(i);
  if (steps.length > 0) return steps;
  throw new InputError(
    "bad-option",
    `${examples.length} examples do not fill a batch of ${batchSize} without a text twice. Lower the batch size.`,
  );
}
