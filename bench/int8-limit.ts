import { createInterface } from "node:readline";
import { Graph, int64Constant, type Value } from "../src/graph/graph.ts";
import { integerProduct } from "../src/graph/ops/quantized.ts";
import { concat, gather } from "../src/graph/ops/shape-ops.ts";
import { Session, Tensor } from "../src/runtime/session.ts";
import type { Measure } from "./side.ts";

/**
 * The int8 products of a decoder's linear layers and nothing else, on as many tokens as the sentences have: what the
 * machine's matrix units allow. One side of bench/embed.ts.
 */
interface SetUp {
  readonly threads: number;
  readonly rows: number;
  /** Tokens of all sentences together, and the sentences: the last layer works for one token of each. */
  readonly tokens: number;
  readonly sentences: number;
  readonly layers: number;
  /** [in, out] of a layer's linear weights; of the last layer the first `everyToken` are for every token. */
  readonly shapes: readonly (readonly [number, number])[];
  readonly everyToken: readonly number[];
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const setUp = JSON.parse((await lines.next()).value) as SetUp;
const answer = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);

function productGraph(layers: readonly (readonly (readonly [number, number])[])[]): Graph {
  const graph = new Graph();
  const inputs = new Map<number, Value>();
  const firstRow = int64Constant(graph, [0]);
  const rows: Value[] = [];
  for (const [width, out] of layers.flat()) {
    const x = inputs.get(width) ?? graph.input(`x${width}`, "uint8", ["rows", width]);
    inputs.set(width, x);
    const quants = graph.constant("int8", [width, out], new Uint8Array(width * out).fill(3));
    const scales = graph.constant("float32", [out], new Uint8Array(new Float32Array(out).fill(1).buffer));
    rows.push(gather(integerProduct(x, { in: width, out, quants, scales }), firstRow)); // what nobody reads is not run
  }
  graph.output(concat(rows, 1), "first");
  return graph;
}

const { shapes, everyToken, layers, threads } = setUp;
const all = await Session.create(productGraph(Array.from({ length: layers - 1 }, () => shapes)), { threads });
const last = await Session.create(productGraph([everyToken.map((i) => shapes[i]!)]), { threads });
const others = shapes.filter((_, i) => !everyToken.includes(i));
const lone = await Session.create(productGraph([others]), { threads });

async function run(session: Session, widths: Iterable<number>, total: number): Promise<void> {
  for (let done = 0; done < total; done += setUp.rows) {
    const rows = Math.min(setUp.rows, total - done);
    const feeds = [...new Set(widths)].map((width) => {
      const data = new Uint8Array(rows * width).fill(131);
      return [`x${width}`, new Tensor("uint8", data, [rows, width])] as const;
    });
    await session.run(Object.fromEntries(feeds), ["first"]);
  }
}

const widths = (list: readonly (readonly [number, number])[]): number[] => list.map(([width]) => width);
answer({ name: "int8 products alone" });
while (!(await lines.next()).done) {
  const start = performance.now();
  await run(all, widths(shapes), setUp.tokens);
  await run(last, widths(everyToken.map((i) => shapes[i]!)), setUp.tokens);
  await run(lone, widths(others), setUp.sentences);
  const seconds = (performance.now() - start) / 1000;
  const measure: Measure = { seconds, peakBytes: process.resourceUsage().maxRSS * 1024, first: [] };
  answer(measure);
}
