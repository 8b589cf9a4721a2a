import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nf4Numbers } from "../../test/nf4-numbers.ts";
import { writeForm } from "../../test/write-form.ts";
import type { TensorEntry } from "../files/tensor-index.ts";
import { differentiate } from "../graph/autodiff.ts";
import { Graph } from "../graph/graph.ts";
import { prune } from "../graph/rewrite/prune.ts";
import { Session, Tensor } from "../runtime/session.ts";
import { linear } from "./linear.ts";
import { quantizeNf4 } from "./nf4.ts";
import { quantizeInt4, quantizeRows } from "./quantize.ts";
import { Weights } from "./weights.ts";

const [tokens, inputs, outputs] = [3, 128, 160]; // 320 blocks of 64: the second group of 256 is not full
const wave = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + seed) * (1 + (Math.floor(i / 64) % 5)));

/** The weights that the quantised ones stand for. */
const rounded = {
  nf4: (weights: Float32Array) => nf4Numbers(quantizeNf4(weights)),
  int8Rows(weights: Float32Array): Float32Array {
    const { quants, scales } = quantizeRows(weights, inputs);
    return Float32Array.from(quants, (quant, i) => quant * scales[Math.floor(i / inputs)]!);
  },
  int4(weights: Float32Array): Float32Array {
    const { quants, scales, zeroPoints } = quantizeInt4(weights);
    return weights.map(
      (_, i) => scales[i >> 5]! * (((quants[i >> 1]! >> (i % 2 === 0 ? 0 : 4)) & 15) - zeroPoints![i >> 5]!),
    );
  },
};

test.each(["nf4", "int4", "int8Rows"] as const)(
  "a frozen weight in %s gives y = x Wᵀ and dx = dy W of its rounded numbers",
  async (form) => {
    const folder = await mkdtemp(join(tmpdir(), "oneword-unpack-"));
    const [weights, x, dy] = [wave(outputs * inputs, 1), wave(tokens * inputs, 2), wave(tokens * outputs, 3)];
    await writeFile(join(folder, "source.bin"), weights);
    const shape = [outputs, inputs] as const;
    const source = { name: "w", type: "F32", shape, file: join(folder, "source.bin"), offset: 0 } as const;
    const entry: TensorEntry = { ...source, length: weights.byteLength };
    const stored = await writeForm(entry, form, join(folder, "weights.bin"));

    const graph = new Graph();
    const input = graph.input("x", "float32", ["tokens", inputs]);
    const checkpoint = { tensors: new Map([["weight", stored]]), source: "test" };
    const y = linear(new Weights(graph, checkpoint, { isTrained: true }), input, outputs);
    const grad = graph.input("dy", "float32", ["tokens", outputs]);
    const [dx] = differentiate([{ value: y, grad }], [input]);
    graph.output(y, "y");
    graph.output(dx!, "dx");
    prune(graph);
    const session = await Session.create(graph);
    const feeds = {
      x: new Tensor("float32", x, [tokens, inputs]),
      dy: new Tensor("float32", dy, [tokens, outputs]),
    };
    const result = await session.run(feeds, ["y", "dx"]);
    await session.close();
    await rm(folder, { recursive: true });

    const w = rounded[form](weights);
    for (let t = 0; t < tokens; t++) {
      for (let o = 0; o < outputs; o += 7) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) sum += x[t * inputs + i]! * w[o * inputs + i]!;
        expect(result.y!.data[t * outputs + o]).toBeCloseTo(sum, 2);
      }
      for (let i = 0; i < inputs; i += 11) {
        let sum = 0;
        for (let o = 0; o < outputs; o++) sum += dy[t * outputs + o]! * w[o * inputs + i]!;
        expect(result.dx!.data[t * inputs + i]).toBeCloseTo(sum, 2);
      }
    }
  },
);
