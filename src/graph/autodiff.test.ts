import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { Session, Tensor } from "../runtime/session.ts";
import { differentiate, lossSeed } from "./autodiff.ts";
import { float32Constant, Graph, int64Constant, type Value } from "./graph.ts";
import { erf, gelu, geluTanh, relu, sigmoid, tanh } from "./ops/activation.ts";
import * as elementwise from "./ops/elementwise.ts";
import { layerNormalization, rmsNormalization, rotaryEmbedding, softmax } from "./ops/fused.ts";
import { matmul, product } from "./ops/matmul.ts";
import { matmulNf4 } from "./ops/quantized.ts";
import { reduceLogSumExp, reduceSum } from "./ops/reduce.ts";
import { concat, expandTo, gather, gatherWith, reshape, slice, transpose, unsqueeze } from "./ops/shape-ops.ts";
import { accumulateInGemm } from "./rewrite/accumulate-in-gemm.ts";
import { prune } from "./rewrite/prune.ts";

type Shapes = readonly (readonly number[])[];

interface Case {
  /** Operator under test. */
  readonly type: string;
  readonly title?: string;
  readonly shapes: Shapes;
  readonly apply: (...inputs: Value[]) => Value;
  /** Keeps inputs away from where the function is not smooth. */
  readonly domain?: (x: number) => number;
}

const { add, sub, mul, div, neg, abs, sqrt, log, exp, cos, sin, where, lessOrEqual, cast } = elementwise;
const awayFromZero = (x: number): number => x + Math.sign(x) * 0.3;
const positive = (x: number): number => Math.abs(x) + 0.5;
const ids = (x: Value, ...values: number[]): Value => int64Constant(x.graph, values);
const angles = (x: Value, wave: (angle: number) => number): Value =>
  float32Constant(x.graph, [0.3, 1.1, 2, 0.7, 1.9, 0.1].map(wave), [1, 3, 2]);

const cases: readonly Case[] = [
  { type: "Add", shapes: [[2, 3], [3]], apply: add },
  { type: "Add", title: "of a value with itself", shapes: [[3]], apply: (x) => add(x, mul(x, x)) },
  {
    type: "Sub",
    shapes: [
      [2, 1, 3],
      [4, 1],
    ],
    apply: sub,
  },
  { type: "Mul", shapes: [[2, 3], []], apply: mul },
  {
    type: "Div",
    shapes: [
      [2, 3],
      [2, 1],
    ],
    apply: div,
    domain: positive,
  },
  { type: "Neg", shapes: [[3]], apply: neg },
  { type: "Abs", shapes: [[5]], apply: abs, domain: awayFromZero },
  { type: "Sqrt", shapes: [[5]], apply: sqrt, domain: positive },
  { type: "Log", shapes: [[5]], apply: log, domain: positive },
  { type: "Exp", shapes: [[5]], apply: exp },
  { type: "Cos", shapes: [[5]], apply: cos },
  { type: "Sin", shapes: [[5]], apply: sin },
  {
    type: "Where",
    shapes: [
      [2, 3],
      [1, 3],
    ],
    apply: (a, b) => where(lessOrEqual(float32Constant(a.graph, [0, 1, 2]), float32Constant(a.graph, [1], [])), a, b),
  },
  { type: "Cast", shapes: [[3]], apply: (x) => cast(cast(x, "float16"), "float32"), domain: (x) => 64 * x },
  { type: "Relu", shapes: [[6]], apply: relu, domain: awayFromZero },
  { type: "Sigmoid", shapes: [[6]], apply: sigmoid },
  { type: "Tanh", shapes: [[6]], apply: tanh },
  { type: "Erf", shapes: [[6]], apply: erf },
  { type: "Gelu", shapes: [[6]], apply: gelu },
  { type: "Gelu", title: "by tanh", shapes: [[6]], apply: geluTanh },
  { type: "Softmax", shapes: [[2, 4]], apply: softmax },
  { type: "LayerNormalization", shapes: [[3, 4], [4], [4]], apply: (x, w, b) => layerNormalization(x, w, b, 1e-2) },
  { type: "RMSNormalization", shapes: [[2, 3, 4], [4]], apply: (x, w) => rmsNormalization(x, w, 1e-2) },
  ...[false, true].map((interleaved) => ({
    type: "RotaryEmbedding",
    title: interleaved ? "interleaved" : "in halves",
    shapes: [[1, 3, 8]],
    apply: (x: Value) => rotaryEmbedding(x, angles(x, Math.cos), angles(x, Math.sin), 2, interleaved),
  })),
  {
    type: "MatMul",
    shapes: [
      [2, 1, 3, 4],
      [3, 4, 2],
    ],
    apply: matmul,
  },
  {
    type: "Gemm",
    shapes: [[3, 4], [2, 4], [2]],
    apply: (x, w, b) => product(x, w, { transB: true, alpha: 0.5 }, b),
  },
  {
    type: "Gemm",
    title: "without a transposition",
    shapes: [
      [3, 4],
      [4, 2],
    ],
    apply: (a, b) => product(a, b),
  },
  { type: "MatMulBnb4", shapes: [[2, 64]], apply: bnb4Product },
  { type: "ReduceSum", shapes: [[2, 3, 2]], apply: (x) => reduceSum(x, 1) },
  { type: "ReduceSum", title: "kept", shapes: [[2, 3]], apply: (x) => reduceSum(x, -1, { keepDims: true }) },
  { type: "ReduceLogSumExp", shapes: [[2, 3]], apply: (x) => reduceLogSumExp(x, 1) },
  { type: "Gather", shapes: [[4, 2]], apply: (x) => gather(x, ids(x, 1, 3, 1)) },
  {
    type: "Gather",
    title: "of matrices by a matrix",
    shapes: [[3, 2, 2]],
    apply: (x) => gather(x, reshape(ids(x, 2, 0, 2, 2), [2, 2])),
  },
  {
    type: "Gather",
    title: "with a known way back",
    shapes: [[3, 2]],
    apply: (x) => gatherWith(x, ids(x, 2, 0, 1), (dy) => gather(dy, ids(dy, 1, 2, 0))),
  },
  { type: "Reshape", shapes: [[2, 3]], apply: (x) => reshape(x, [3, 2]) },
  { type: "Transpose", shapes: [[2, 3, 4]], apply: (x) => transpose(x, [2, 0, 1]) },
  {
    type: "Concat",
    shapes: [
      [2, 3],
      [2, 1],
    ],
    apply: (a, b) => concat([a, b], -1),
  },
  { type: "Slice", shapes: [[2, 5]], apply: (x) => slice(x, 1, 1, ids(x, 4), 3) },
  { type: "Slice", title: "to the end", shapes: [[5, 2]], apply: (x) => slice(x, 0, 2, Number.MAX_SAFE_INTEGER, 3) },
  { type: "Unsqueeze", shapes: [[3]], apply: (x) => unsqueeze(x, 0) },
  { type: "Expand", shapes: [[2, 1]], apply: (x) => expandTo(x, ids(x, 3, 2, 4), [3, 2, 4]) },
];

/** x Wᵀ with a weight [3, 64] of 1, −1, 0 and 1 by turns, times 0.5, 1 and 2 in its rows. */
function bnb4Product(x: Value): Value {
  const scales = [0.5, 1, 2];
  const quants = x.graph.constant(
    "uint8",
    [96],
    Uint8Array.from({ length: 96 }, (_, i) => (i % 2 === 0 ? 0xf0 : 0x7f)),
  );
  const [codes, means] = [ids(x, 0), float32Constant(x.graph, [0], [1, 1])]; // the product takes the scales ready made
  const weight = { out: 3, in: 64, quants, codes, scales: means, means };
  const unpack = (): Value =>
    float32Constant(
      x.graph,
      scales.flatMap((scale) => Array.from({ length: 64 }, (_, i) => scale * [1, -1, 0, 1][i % 4]!)),
      [3, 64],
    );
  return matmulNf4(x, weight, float32Constant(x.graph, scales), 64, unpack);
}

/** Operators whose gradient is null on purpose, or, for Identity, stops the walk. */
const withoutGradient = [
  "LessOrEqual",
  "Equal",
  "Mod",
  "Sign",
  "Identity",
  "MatMulNBits",
  "Max",
  "QuantizeLinear",
  "MatMulIntegerToFloat",
  "ReduceMax",
  "ReduceMin",
  "ScatterElements",
  "Pad",
  "Shape",
  "Squeeze",
  "Range",
];

/** Numbers between −1 and 1, the same in every run. */
const noise = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233) * 0.9);
const count = (shape: readonly number[]): number => shape.reduce((size, dim) => size * dim, 1);

/** loss = Σ y ⊙ random factors, and its gradients by every input. */
async function lossSession({ shapes, apply }: Case, rewrite: (graph: Graph) => void): Promise<Session> {
  const graph = new Graph();
  const inputs = shapes.map((shape, i) => graph.input(`x${i}`, "float32", shape));
  const y = apply(...inputs);
  const shape = y.shape as number[];
  let loss = mul(y, float32Constant(graph, noise(count(shape), 99), shape));
  while (loss.shape.length > 0) loss = reduceSum(loss, 0);
  const grads = differentiate([lossSeed(loss)], inputs);
  graph.output(loss, "loss");
  grads.forEach((grad, i) => {
    expect(grad.shape).toEqual(inputs[i]!.shape);
    graph.output(grad, `grad${i}`);
  });
  rewrite(graph);
  return Session.create(graph);
}

const prunedAndMerged = (graph: Graph): void => {
  prune(graph);
  accumulateInGemm(graph);
};

describe.each(cases)("$type $title", (example) => {
  test("its gradient equals central differences", async () => {
    const session = await lossSession(example, prunedAndMerged);
    const domain = example.domain ?? ((x: number) => x);
    const values = example.shapes.map((shape, i) => noise(count(shape), i).map(domain));
    const run = async (outputs: string[]): Promise<Record<string, Tensor>> => {
      const feeds = values.map((value, i) => [`x${i}`, new Tensor("float32", value, example.shapes[i]!)] as const);
      return session.run(Object.fromEntries(feeds), outputs);
    };
    const gradients = await run(values.map((_, i) => `grad${i}`));
    for (const [i, value] of values.entries()) {
      for (let at = 0; at < value.length; at++) {
        const [centre, step] = [value[at]!, example.type === "Cast" ? 1 : 1e-2];
        const lossAt = async (x: number): Promise<number> => {
          value[at] = x;
          return (await run(["loss"])).loss!.data[0] as number;
        };
        const difference = ((await lossAt(centre + step)) - (await lossAt(centre - step))) / (2 * step);
        value[at] = centre;
        expect(gradients[`grad${i}`]!.data[at], `input ${i}, element ${at}`).toBeCloseTo(difference, 2);
      }
    }
    await session.close();
  });
});

test("every operator has a gradient that is checked here, or none on purpose", () => {
  const folder = resolve(import.meta.dirname, "ops");
  const texts = readdirSync(folder).map((file) => readFileSync(resolve(folder, file), "utf8"));
  const defined = texts.flatMap((text) => [...text.matchAll(/defineOp\(\s*"(\w+)"/g)].map((match) => match[1]!));
  expect(new Set([...cases.map(({ type }) => type), ...withoutGradient])).toEqual(new Set(defined));
});

test("a parameter that flows through what is not differentiable is an error that names the operator", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2]);
  const loss = reduceSum(elementwise.sign(x), 0);
  expect(() => differentiate([lossSeed(loss)], [x])).toThrow(/Sign is not differentiable/);
});

test("a parameter that the loss does not depend on is an error that names it", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2]);
  const unused = graph.input("unused", "float32", [2]);
  const loss = reduceSum(mul(x, elementwise.stopGradient(unused)), 0);
  expect(() => differentiate([lossSeed(loss)], [x, unused])).toThrow(/does not depend on "unused"/);
});

test("gradients by frozen weights are not in the graph", () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [3, 4]);
  const frozen = float32Constant(graph, noise(8, 1), [2, 4]);
  const y = product(x, frozen, { transB: true });
  const [dx] = differentiate([{ value: y, grad: y }], [x]);
  graph.output(dx!, "dx");
  prune(graph);
  expect(graph.nodes.filter(({ type }) => type === "Gemm")).toHaveLength(2); // y, and dx = dy W; no dyᵀ x
});

test("products that are summed add to one another", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2, 2]);
  const w = float32Constant(graph, [1, 2, 3, 4], [2, 2]);
  graph.output(add(add(product(x, w), product(x, w, { transB: true })), x), "y");
  accumulateInGemm(graph);
  expect(graph.nodes.filter(({ type }) => type === "Add")).toHaveLength(1);
  const session = await Session.create(graph);
  const { y } = await session.run({ x: new Tensor("float32", Float32Array.of(1, 0, 0, 1), [2, 2]) }, ["y"]);
  expect([...(y!.data as Float32Array)]).toEqual([3, 5, 5, 9]); // W + Wᵀ + 1
  await session.close();
});
