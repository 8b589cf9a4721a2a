import { expect, test } from "vitest";
import { Session, Tensor } from "../../runtime/session.ts";
import { float32Constant, Graph, type Value } from "../graph.ts";
import { add, mul } from "../ops/elementwise.ts";
import { layerNormalization, rmsNormalization } from "../ops/fused.ts";
import { nameOutputs } from "./name-outputs.ts";
import { prune } from "./prune.ts";
import { fuseSkipNorm } from "./skip-norm.ts";

const rows = (offset: number): Tensor =>
  new Tensor(
    "float32",
    Float32Array.from({ length: 12 }, (_, i) => Math.sin(i + offset)),
    [3, 4],
  );

/** norm(a + b) and (a + b) + norm(a + b), rewritten or as they are. */
function sumAndNorm(norm: (x: Value) => Value, rewrite: (graph: Graph) => void): Graph {
  const graph = new Graph();
  const [a, b] = ["a", "b"].map((name) => graph.input(name, "float32", ["rows", 4])) as [Value, Value];
  const sum = add(a, b);
  const normed = norm(sum);
  graph.output(normed, "normed");
  graph.output(add(sum, normed), "residual");
  rewrite(graph);
  return graph;
}

async function run(graph: Graph): Promise<number[][]> {
  const session = await Session.create(graph);
  const outputs = await session.run({ a: rows(0), b: rows(7) }, ["normed", "residual"]);
  await session.close();
  return ["normed", "residual"].map((name) => Array.from(outputs[name]!.data as Float32Array));
}

const weight = (x: Value): Value => float32Constant(x.graph, [1, 2, -1, 0.5]);
const norms: [string, (x: Value) => Value][] = [
  ["RMSNormalization", (x) => rmsNormalization(x, weight(x), 1e-5)],
  ["LayerNormalization", (x) => layerNormalization(x, weight(x), weight(x), 1e-5)],
];

test.each(norms)("a sum and its %s in one give the same numbers", async (type, norm) => {
  const plain = sumAndNorm(norm, () => {});
  const fused = sumAndNorm(norm, (graph) => {
    for (const rewrite of [fuseSkipNorm, nameOutputs, prune]) rewrite(graph);
  });
  expect(fused.nodes.map((node) => node.type)).not.toContain(type);
  expect(fused.nodes).toHaveLength(2); // the norm with its sum, and the residual's Add
  const [expected, actual] = [await run(plain), await run(fused)];
  actual.forEach((values, i) => {
    for (const [j, value] of values.entries()) expect(value).toBeCloseTo(expected[i]![j]!, 6);
  });
});

test("a sum that is read before its norm stays a sum", () => {
  const graph = new Graph();
  const x = graph.input("a", "float32", ["rows", 4]);
  const sum = add(x, x);
  graph.output(mul(sum, x), "early");
  graph.output(rmsNormalization(sum, weight(x), 1e-5), "normed");
  fuseSkipNorm(graph);
  expect(graph.nodes.map(({ type }) => type)).toContain("RMSNormalization");
});

test("an input that is a result keeps its copy: only computed values are renamed", () => {
  const graph = new Graph();
  graph.output(graph.input("a", "float32", ["rows", 4]), "same");
  nameOutputs(graph);
  expect(graph.nodes.map(({ type }) => type)).toEqual(["Identity"]);
});
