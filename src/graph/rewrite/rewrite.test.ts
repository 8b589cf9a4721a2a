import { expect, test } from "vitest";
import { Session, Tensor } from "../../runtime/session.ts";
import { Graph } from "../graph.ts";
import { exp } from "../ops/elementwise.ts";
import { softmax } from "../ops/fused.ts";
import { reduceLogSumExp } from "../ops/reduce.ts";
import { logSumFromShares } from "./log-sum.ts";
import { nameOutputs } from "./name-outputs.ts";

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

test("over no numbers it is −∞ either way", async () => {
  const graph = sumsGraph();
  logSumFromShares(graph);
  for (const each of [sumsGraph(), graph]) expect(await sumOf(each, [[], []])).toEqual([-Infinity, -Infinity]);
});

test("an input that is a result keeps its copy: only computed values are renamed", () => {
  const graph = new Graph();
  graph.output(graph.input("a", "float32", ["rows", 4]), "same");
  nameOutputs(graph);
  expect(graph.nodes.map(({ type }) => type)).toEqual(["Identity"]);
});
