import { expect, test } from "vitest";
import { float32Constant, Graph } from "./graph.ts";
import { add, mul } from "./ops/elementwise.ts";
import { concat, reshape } from "./ops/shape-ops.ts";
import { peakBytes } from "./peak-memory.ts";

const sizes = { tokens: 10, prefix: 2 };

test("a tensor counts from the node that makes it to the last one that reads it, inputs and weights not at all", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["tokens", 3]);
  const one = float32Constant(graph, [1], []);
  let y = add(x, one);
  for (let i = 0; i < 5; i++) y = mul(y, one); // two at a time
  graph.output(y, "y");
  expect(peakBytes(graph, sizes)).toBe(2 * 10 * 3 * 4);
});

test("what is read at the end is held all the way, once, also through a reshape; sums of sizes count", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["tokens", 3]);
  const prefix = graph.input("prefix", "float32", ["prefix", 3]);
  const one = float32Constant(graph, [1], []);
  const early = add(x, one); // 120 bytes
  const shown = reshape(early, ["tokens", 3]);
  const both = concat([mul(early, one), prefix], 0); // [tokens + prefix, 3]: 120, and 144
  graph.output(add(mul(both, one), concat([shown, prefix], 0)), "y");
  expect(peakBytes(graph, sizes)).toBe(3 * 144);
});

test("a dimension that nobody gave a size is an error", () => {
  const graph = new Graph();
  graph.output(add(graph.input("x", "float32", ["rows"]), float32Constant(graph, [1], [])), "y");
  expect(() => peakBytes(graph, sizes)).toThrow(/dimension rows: nobody said how large rows is/);
});
