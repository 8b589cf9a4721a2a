import type { ClassifierSizes } from "./classifier-graph.ts";

export interface Fitted {
  /** Best accuracy on the held-out examples. */
  readonly accuracy: number;
  /** [width, classes] at that time. */
  readonly parameters: Float32Array;
}

/** Best held-out accuracy of every regression so far, and when all have stopped. */
export class BestSnapshots {
  readonly results: Fitted[][];
  readonly #failures: number[][];
  readonly #sizes: ClassifierSizes;
  readonly #tenacity: number;

  constructor(sizes: ClassifierSizes, tenacity: number) {
    const each = <T>(value: T): T[][] =>
      Array.from({ length: sizes.problems }, () => Array.from({ length: sizes.penalties }, () => value));
    this.results = each({ accuracy: -1, parameters: new Float32Array() });
    this.#failures = each(0);
    this.#sizes = sizes;
    this.#tenacity = tenacity;
  }

  get isDone(): boolean {
    return this.#failures.flat().every((count) => count > this.#tenacity);
  }

  /** @param parameters  [problems, features, penalties · classes] */
  see(accuracies: readonly (readonly number[])[], parameters: Float32Array): void {
    for (const [problem, row] of accuracies.entries()) {
      for (const [penalty, accuracy] of row.entries()) {
        if (this.#failures[problem]![penalty]! > this.#tenacity) continue;
        if (accuracy <= this.results[problem]![penalty]!.accuracy) this.#failures[problem]![penalty]!++;
        else this.results[problem]![penalty] = { accuracy, parameters: this.#slice(parameters, problem, penalty) };
      }
    }
  }

  #slice(parameters: Float32Array, problem: number, penalty: number): Float32Array {
    const { features, penalties, classes } = this.#sizes;
    const slice = new Float32Array(features * classes);
    for (let feature = 0; feature < features; feature++) {
      const start = ((problem * features + feature) * penalties + penalty) * classes;
      slice.set(parameters.subarray(start, start + classes), feature * classes);
    }
    return slice;
  }
}
