import type { Graph, Value } from "../graph/graph.ts";
import { fixed, int64Constant } from "../graph/graph.ts";
import { add, mod, mul } from "../graph/ops/elementwise.ts";
import { constantRows, range, sizes } from "../graph/ops/shape-ops.ts";
import { Tensor } from "../runtime/session.ts";
import { Random } from "./random.ts";

/** Masks of one run: a prime number, so that the two copies of a text do not meet the same ones. */
const maskRows = 251;
/** Masks lie this far apart from one linear weight to the next; prime to maskRows. */
const scopeStride = 37;

const bankName = (width: number): string => `dropout.${width}`;

/**
 * Dropout on the input of LoRA's A. Every run is fed a bank of random masks for each width, [maskRows, width] of 0 and
 * 1 / (1 − p); the tokens of a linear weight's input take them in turn, every weight from another place on. So that a run
 * can be repeated to the bit, the graph itself draws nothing.
 */
export class Dropout {
  readonly #graph: Graph;
  readonly #banks = new Map<number, Value>();
  readonly #starts = new Map<string, number>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  /** x [tokens, width] with its mask on it. */
  readonly drop = (x: Value, scope: string): Value => {
    const width = fixed(x.shape[1], "a linear input's width");
    const bank = this.#banks.get(width) ?? this.#graph.input(bankName(width), "float32", [maskRows, width]);
    this.#banks.set(width, bank);
    const start = this.#starts.get(scope) ?? (this.#starts.size * scopeStride) % maskRows;
    this.#starts.set(scope, start);
    const tokens = range(sizes(x, 0, 1), x.shape[0]!);
    const rows = mod(add(tokens, int64Constant(this.#graph, [start])), int64Constant(this.#graph, [maskRows]));
    return mul(x, constantRows(bank, rows));
  };

  get widths(): readonly number[] {
    return [...this.#banks.keys()];
  }
}

/** The banks of one run. Equal seeds give equal masks. */
export function dropoutFeeds(widths: readonly number[], probability: number, seed: number): Record<string, Tensor> {
  const random = new Random(seed);
  const kept = 1 / (1 - probability);
  return Object.fromEntries(
    widths.map((width) => {
      const mask = new Float32Array(maskRows * width).map(() => (random.next() < probability ? 0 : kept));
      return [bankName(width), new Tensor("float32", mask, [maskRows, width])];
    }),
  );
}
