import { expect, test } from "vitest";
import { float32Constant, Graph, type Value } from "./graph.ts";
import { graphHash } from "./graph-hash.ts";
import { add, mul } from "./ops/elementwise.ts";
import { rmsNormalization } from "./ops/fused.ts";

interface Parts {
  readonly sum?: typeof add;
  readonly epsilon?: number;
  readonly gamma?: number;
  readonly file?: string;
  readonly offset?: number;
  readonly isSwapped?: boolean;
}

/** norm(x + weight), with one thing or another. */
function hashOf({
  sum = add,
  epsilon = 1e-5,
  gamma = 1,
  file = "/a/made/w",
  offset = 0,
  isSwapped,
}: Parts = {}): string {
  const graph = new Graph();
  const x = graph.input("x", "float32", ["rows", 2]);
  const weight = graph.weight("weight", "float32", [2], { file, offset, length: 8 });
  const [a, b] = (isSwapped ? [weight, x] : [x, weight]) as [Value, Value];
  graph.output(rmsNormalization(sum(a, b), float32Constant(graph, [gamma, 1]), epsilon), "normed");
  return graphHash(graph);
}

test("the same graph has the same hash, wherever the cache is", () => {
  expect(hashOf()).toBe(hashOf());
  expect(hashOf({ file: "/b/made/w" })).toBe(hashOf());
});

test.each<[string, Parts]>([
  ["another operator", { sum: mul }],
  ["another attribute", { epsilon: 1e-6 }],
  ["another constant", { gamma: 2 }],
  ["other wiring", { isSwapped: true }],
  ["weights from another place of the file", { offset: 8 }],
  ["weights that were prepared in another way", { file: "/a/other/w" }],
])("%s gives another hash", (_what, parts) => {
  expect(hashOf(parts)).not.toBe(hashOf());
});
