import { expect, test } from "vitest";
import { Session, Tensor } from "../runtime/session.ts";
import { differentiate, lossSeed } from "./autodiff.ts";
import { Graph, type Value } from "./graph.ts";
import { silu } from "./ops/activation.ts";
import { mul } from "./ops/elementwise.ts";
import { rmsNormalization } from "./ops/fused.ts";
import { matmul, product } from "./ops/matmul.ts";
import { reduceSum } from "./ops/reduce.ts";
import { concat, reshape, transposeLast, unsqueeze } from "./ops/shape-ops.ts";
import { peakBytes } from "./peak-memory.ts";
import { prune } from "./rewrite/prune.ts";

const rows = 100;
const width = 4;
const matrixBytes = rows * width * 4;

/** Gradients by the weights of gated layers; `tokens` is a number or a symbol. */
function gatedLayers(layers: number, tokens: number | string): Graph {
  const graph = new Graph();
  const weights: Value[] = [];
  const weight = (): Value => {
    const value = graph.input(`w${weights.length}`, "float32", [width, width]);
    weights.push(value);
    return value;
  };
  const scale = graph.input("scale", "float32", [width]);
  let x = graph.input("x", "float32", [tokens, width]);
  for (let i = 0; i < layers; i++) {
    const unit = rmsNormalization(x, scale, 1e-5);
    x = product(mul(silu(product(unit, weight())), product(unit, weight())), weight());
  }
  const pair = concat([x, reshape(mul(x, x), [tokens, width])], 1);
  const loss = reduceSum(reduceSum(matmul(transposeLast(pair), pair), 0), 0);
  differentiate([lossSeed(loss)], weights).forEach((grad, i) => {
    graph.output(grad, `dw${i}`);
  });
  prune(graph);
  return graph;
}

test("of a gated layer the gate, its partner and the output are held, and nothing that is made of them", () => {
  const [three, four] = [3, 4].map((layers) => peakBytes(gatedLayers(layers, "tokens"), { tokens: rows }));
  expect(four! - three!).toBeLessThan(3 * matrixBytes + 5 * width * width * 4); // and the gradients of three weights
});

test("gradients are those of the graph that holds everything, to the bit", async () => {
  const inputs: Record<string, Tensor> = {};
  const numbers = (size: number, seed: number) =>
    Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + seed));
  for (let i = 0; i < 6; i++) inputs[`w${i}`] = new Tensor("float32", numbers(width * width, i), [width, width]);
  inputs.scale = new Tensor("float32", numbers(width, 9), [width]);
  inputs.x = new Tensor("float32", numbers(rows * width, 10), [rows, width]);
  const names = Array.from({ length: 6 }, (_, i) => `dw${i}`);
  const gradients = async (tokens: number | string) => {
    const session = await Session.create(gatedLayers(2, tokens));
    const results = await session.run(inputs, names);
    await session.close();
    return names.map((name) => results[name]!.data);
  };
  expect(await gradients("tokens")).toEqual(await gradients(rows));
});

test("a number becomes a tensor and back: its gradient is a number", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", []);
  const loss = reduceSum(unsqueeze(mul(x, x), 0), 0);
  graph.output(differentiate([lossSeed(loss)], [x])[0]!, "dx");
  const session = await Session.create(graph);
  const { dx } = await session.run({ x: new Tensor("float32", Float32Array.of(3), []) }, ["dx"]);
  expect([dx!.dims, dx!.data]).toEqual([[], Float32Array.of(6)]);
  await session.close();
});
