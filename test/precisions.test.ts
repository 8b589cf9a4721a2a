import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TensorEntry } from "../src/files/tensor-index.ts";
import { Graph } from "../src/graph/graph.ts";
import { linear } from "../src/models/linear.ts";
import { quantizeNf4 } from "../src/models/nf4.ts";
import { quantizeInt4, quantizeRows } from "../src/models/quantize.ts";
import type { WeightForm } from "../src/models/weight-plan.ts";
import { type StoredTensor, Weights } from "../src/models/weights.ts";
import { multipliesSignedWeights } from "../src/runtime/int8-support.ts";
import { Session, Tensor } from "../src/runtime/session.ts";
import { nf4Numbers } from "./nf4-numbers.ts";
import { writeForm } from "./write-form.ts";

const [tokens, inputs, outputs] = [5, 128, 48];
let folder: string;
let seed = 1;
/** Numbers like those of a normal distribution, the same in every run. */
const noise = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => {
    let sum = -3;
    for (let i = 0; i < 6; i++) {
      seed = (seed * 16807) % 2147483647;
      sum += seed / 2147483647;
    }
    return sum;
  });

const weights = noise(outputs * inputs).map((value, i) => (i % inputs === 7 ? value * 20 : value));
const x = noise(tokens * inputs).map((value, i) => (i % inputs === 50 ? value * 30 : value));
const bias = noise(outputs);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-precisions-"));
  await writeFile(join(folder, "source.bin"), weights);
});
afterAll(() => rm(folder, { recursive: true }));

async function stored(form: WeightForm): Promise<StoredTensor> {
  const entry: TensorEntry = {
    name: "w",
    type: "F32",
    shape: [outputs, inputs],
    file: join(folder, "source.bin"),
    offset: 0,
    length: weights.byteLength,
  };
  return writeForm(entry, form, join(folder, `${form}.bin`));
}

async function run(form: WeightForm, withBias = true): Promise<Float32Array> {
  const graph = new Graph();
  const biasFile = join(folder, "bias.bin");
  await writeFile(biasFile, bias);
  const tensors = new Map<string, StoredTensor>([["weight", await stored(form)]]);
  if (withBias) {
    const range = { file: biasFile, offset: 0, length: bias.byteLength };
    tensors.set("bias", { kind: "dense", type: "float32", shape: [outputs], ...range });
  }
  const input = graph.input("x", "float32", ["tokens", inputs]);
  graph.output(linear(new Weights(graph, { tensors, source: "test" }), input, outputs), "y");
  const session = await Session.create(graph);
  const { y } = await session.run({ x: new Tensor("float32", x, [tokens, inputs]) }, ["y"]);
  await session.close();
  return y!.data as Float32Array;
}

/** x Wᵀ + b in double precision. */
function product(left: ArrayLike<number>, right: ArrayLike<number>): Float64Array {
  const y = new Float64Array(tokens * outputs);
  for (let token = 0; token < tokens; token++) {
    for (let out = 0; out < outputs; out++) {
      let sum = bias[out]!;
      for (let i = 0; i < inputs; i++) sum += left[token * inputs + i]! * right[out * inputs + i]!;
      y[token * outputs + out] = sum;
    }
  }
  return y;
}

function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [error, size] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    error += (actual[i]! - expected[i]!) ** 2;
    size += expected[i]! ** 2;
  }
  return Math.sqrt(error / size);
}

const dequantizedRows = (values: Float32Array, columns: number): Float32Array => {
  const { quants, scales } = quantizeRows(values, columns);
  return Float32Array.from(quants, (quant, i) => quant * scales[Math.floor(i / columns)]!);
};

describe("a linear weight", () => {
  test("in 8 bits gives what its rounded weights and activations give", async () => {
    const expected = product(dequantizedRows(x, inputs), dequantizedRows(weights, inputs));
    if (await multipliesSignedWeights()) expect(difference(await run("int8"), expected)).toBeLessThan(1e-5);
    expect(difference(await run("uint8"), expected)).toBeLessThan(1e-5);
  });

  test("in NF4 gives what its rounded weights give", async () => {
    const rounded = nf4Numbers(quantizeNf4(weights));
    expect(difference(await run("nf4"), product(x, rounded))).toBeLessThan(1e-5);
    expect(difference(rounded, weights)).toBeLessThan(0.2);
  });

  test("in 4-bit blocks gives what its rounded weights give, but for the rounding of activations", async () => {
    const { quants, scales, zeroPoints } = quantizeInt4(weights);
    const rounded = weights.map((_, i) => {
      const quant = i % 2 === 0 ? quants[i >> 1]! & 15 : quants[i >> 1]! >> 4;
      return scales[i >> 5]! * (quant - zeroPoints![i >> 5]!);
    });
    expect(difference(await run("int4"), product(x, rounded))).toBeLessThan(0.02);
    expect(difference(rounded, weights)).toBeLessThan(0.2);
  });

  test.each(["int8", "int4", "nf4", "float32"] as const)("in %s works without a bias", async (form) => {
    const [plain, biased] = [await run(form, false), await run(form)];
    expect(biased[0]! - plain[0]!).toBeCloseTo(bias[0]!, 3);
  });
});

test("rows of zeros stay zeros in int8", () => {
  const { quants, scales } = quantizeRows(new Float32Array(8), 4);
  expect([...quants, ...scales]).toEqual(new Array(10).fill(0));
});

test("flat 4-bit blocks are exact", () => {
  const { quants, scales, zeroPoints } = quantizeInt4(new Float32Array(32).fill(-0.3));
  expect((quants[0]! & 15) - zeroPoints![0]!).toBe(1);
  expect(scales[0]).toBe(Math.fround(-0.3));
});
