import { expect, test } from "vitest";
import { Session, Tensor } from "../../runtime/session.ts";
import { Graph } from "../graph.ts";
import { add, exp, mul } from "../ops/elementwise.ts";
import { softmax } from "../ops/fused.ts";
import { reduceLogSumExp, reduceSum } from "../ops/reduce.ts";
import { peakBytes } from "../peak-memory.ts";
import { logSumFromShares } from "./log-sum.ts";
import { nameOutputs } from "./name-outputs.ts";
import { resultsWhenReady } from "./results-when-ready.ts";

/** A softmax, the logarithm of its sum, and a sum that has no softmax beside it. */
function sumsGraph(): Graph {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["rows", "columns"]);
  graph.output(softmax(x), "shares");
  graph.output(reduceLogSumExp(x, -1), "sum");
  graph.output(reduceLogSumExp(exp(x), -1), "other");
  return graph;
}

async function sumOf(graph: Graph, rows: readonly (readonly number[])[]): Promise<number[]> {
  const session = await Session.create(graph);
  const x = new Tensor("float32", Float32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
  const { sum } = await session.run({ x }, ["sum"]);
  await session.close();
  return Array.from(sum!.data as Float32Array);
}

test("the logarithm of a softmax's sum comes from its largest share, and is the same", async () => {
  const graph = sumsGraph();
  logSumFromShares(graph);
  expect(graph.nodes.filter(({ type }) => type === "ReduceLogSumExp")).toHaveLength(1); // that of exp(x)
  const rows = [
    [1, 2, 3],
    [-300, 200, -Infinity],
    [-80, -80, -80],
    [500, -500, 499],
  ];
  const expected = rows.map((row) => {
    const most = Math.max(...row);
    return most + Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0));
  });
  const [asItWas, rewritten] = [await sumOf(sumsGraph(), rows), await sumOf(graph, rows)];
  expected.forEach((sum, i) => {
    expect(asItWas[i]).toBeCloseTo(sum, 4);
    expect(rewritten[i]).toBeCloseTo(sum, 4);
  });
});

test("an input that is a result keeps its copy: only computed values are renamed", () => {
  const graph = new Graph();
  graph.output(graph.input("a", "float32", ["rows", 4]), "same");
  nameOutputs(graph);
  expect(graph.nodes.map(({ type }) => type)).toEqual(["Identity"]);
});

/** A chain of `steps` tensors, and of each a result that nothing reads. */
function chainGraph(steps: number): Graph {
  const graph = new Graph();
  let x = graph.input("x", "float32", ["rows", 8]);
  for (let i = 0; i < steps; i++) {
    x = add(x, x);
    graph.output(reduceSum(mul(x, x), 1), `sum${i}`);
  }
  return graph;
}

test("results that nothing reads are computed when they can be, so that nothing waits for them", async () => {
  const steps = 20;
  const [named, ready] = [chainGraph(steps), chainGraph(steps)];
  nameOutputs(named);
  resultsWhenReady(ready);
  const [all, few] = [named, ready].map((graph) => peakBytes(graph, { rows: 1000 }));
  expect(all).toBeGreaterThan(steps * 8 * 1000 * 4);
  expect(few).toBeLessThan(3 * 8 * 1000 * 4 + steps * 1000 * 4);
  const feeds = { x: new Tensor("float32", Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), [1, 8]) };
  const session = await Session.create(ready);
  const { sum1 } = await session.run(feeds, ["sum1"]);
  await session.close();
  expect(sum1!.data[0]).toBe(16 * 204); // Σ (4 x)²
});
