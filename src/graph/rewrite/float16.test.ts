import { expect, test } from "vitest";
import { float32Constant, Graph, int64Constant, type Value } from "../graph.ts";
import { add, cast, cos, mul } from "../ops/elementwise.ts";
import { rmsNormalization, softmax } from "../ops/fused.ts";
import { matmul } from "../ops/matmul.ts";
import { gather } from "../ops/shape-ops.ts";
import { computeInFloat16 } from "./float16.ts";

const range = { file: "/weights.bin", offset: 0, length: 32 };
const typesOf = (graph: Graph, type: string): string[] =>
  graph.nodes.filter((node) => node.type === type).map(({ outputs }) => outputs[0]!.type);

test("what meets a weight is float16; inputs and outputs stay float32", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["rows", 4]);
  graph.output(mul(x, graph.weight("w", "float16", [4], range)), "y");
  computeInFloat16(graph);
  expect(typesOf(graph, "Mul")).toEqual(["float16"]);
  expect([...graph.inputs, ...graph.outputs].map(({ type }) => type)).toEqual(["float32", "float32"]);
});

test("norms and softmax get float32 and give it", () => {
  const graph = new Graph();
  const x = gather(graph.weight("table", "float16", [8, 4], range), int64Constant(graph, [1, 2]));
  const normed = rmsNormalization(cast(x, "float32"), graph.weight("norm", "float32", [4], range), 1e-5);
  graph.output(softmax(mul(normed, normed)), "y");
  computeInFloat16(graph);
  expect([typesOf(graph, "RMSNormalization"), typesOf(graph, "Softmax"), typesOf(graph, "Mul")]).toEqual([
    ["float32"],
    ["float32"],
    ["float16"],
  ]);
  const norm = graph.nodes.find(({ type }) => type === "RMSNormalization")!;
  expect(norm.inputs.map((input) => input?.type)).toEqual(["float32", "float32"]);
});

test("angles of positions are computed in float32 and rounded once for all that use them", () => {
  const graph = new Graph();
  const angles = cos(cast(graph.input("positions", "int64", ["rows"]), "float32"));
  const weight = graph.weight("w", "float16", [1], range);
  graph.output(add(mul(angles, weight), mul(angles, weight)), "y");
  computeInFloat16(graph);
  expect(typesOf(graph, "Cos")).toEqual(["float32"]);
  expect(typesOf(graph, "Cast").filter((type) => type === "float16")).toHaveLength(1);
});

test("scores are scaled before their product, which could leave float16's range", () => {
  const graph = new Graph();
  const [q, k] = ["q", "k"].map((name) => graph.input(name, "float32", [4, 4])) as [Value, Value];
  graph.output(mul(matmul(q, k), float32Constant(graph, [0.125], [])), "scores");
  computeInFloat16(graph);
  const order = graph.nodes.map(({ type }) => type).filter((type) => type !== "Cast");
  expect(order).toEqual(["Mul", "MatMul", "Identity"]);
});

test("a widened float16 weight is used as it lies in its file, without a cast", () => {
  const graph = new Graph();
  const weight = cast(graph.weight("w", "float16", [4], range), "float32");
  graph.output(add(weight, weight), "y");
  computeInFloat16(graph);
  expect(graph.nodes.map(({ type }) => type)).toEqual(["Add", "Cast", "Identity"]);
});
