import { InputError } from "../errors.ts";
import type { Example } from "./examples.ts";
import { Random, shuffledIndex } from "./random.ts";

/**
 * Examples of every step of an epoch, in an order that follows from the seed. An example whose anchor or positive is one of the
 * step's already, often another hypothesis of the same premise, waits for a later one: as in-batch negatives they would pull
 * apart what belongs together. What does not fill a step is left out.
 * @returns [steps][batchSize] indexes of examples
 * @throws InputError "bad-option" for fewer examples than a step needs
 */
export function planEpoch(examples: readonly Example[], batchSize: number, seed: number): number[][] {
  const order = shuffledIndex(examples.length, new Random(seed));
  const steps: number[][] = [];
  let waiting: number[] = [];
  let at = 0;
  for (;;) {
    const step = new Step(examples, batchSize);
    waiting = waiting.filter((i) => !step.takes(i));
    for (; at < order.length && !step.isFull; at++) if (!step.takes(order[at]!)) waiting.push(order[at]!);
    if (!step.isFull) break;
    steps.push(step.indexes);
  }
  if (steps.length > 0) return steps;
  throw new InputError(
    "bad-option",
    `${examples.length} examples do not fill a batch of ${batchSize} without a text twice. Lower the batch size.`,
  );
}

/** Examples that fit together. */
class Step {
  readonly indexes: number[] = [];
  readonly #examples: readonly Example[];
  readonly #size: number;
  readonly #texts = new Set<string>();

  constructor(examples: readonly Example[], size: number) {
    this.#examples = examples;
    this.#size = size;
  }

  get isFull(): boolean {
    return this.indexes.length === this.#size;
  }

  /** Takes an example, unless the step is full or has one of its texts. */
  takes(index: number): boolean {
    const { anchor, positive } = this.#examples[index]!;
    if (this.isFull || this.#texts.has(anchor) || this.#texts.has(positive)) return false;
    this.#texts.add(anchor).add(positive);
    this.indexes.push(index);
    return true;
  }
}
