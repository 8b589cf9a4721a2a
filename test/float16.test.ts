import { cpSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LoadOptions, load } from "../src/embed/load.ts";
import { cosineSimilarity } from "../src/embed/pooling.ts";
import { buildInferenceGraph } from "../src/models/build.ts";
import { openCheckpoint } from "../src/models/checkpoint.ts";
import { findArchitecture } from "../src/models/registry.ts";
import { Encoder } from "../src/runtime/encoder.ts";
import { TokenTree } from "../src/text/token-tree.ts";
import { onDevice } from "./device.ts";

/** hidden_states of transformers on PyTorch in float32, see the folder's README. */
const golden = resolve(import.meta.dirname, "fixtures/golden");
const names = readdirSync(golden).filter((name) => !name.startsWith("train-") && !name.endsWith(".md"));

/**
 * float16 rounds by 2^-11 at most; the embedding is rounded once, and every layer adds about two such errors to the sum: three
 * where the operators between its products round too, which the CPU computes in float32.
 */
const toleranceOf = (layer: number): number => 2 ** -11 * (1 + (onDevice.device === "cpu" ? 2 : 3) * layer);

interface GoldenCase {
  readonly ids: number[];
  readonly lastToken: number[];
  readonly allLayersLastToken: number[][];
}

let cacheFolder: string;
beforeAll(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "oneword-float16-"));
});
afterAll(() => rm(cacheFolder, { recursive: true }));

async function openGolden(name: string) {
  const folder = resolve(golden, name);
  const weights = { kind: "safetensors", file: resolve(folder, "model.safetensors") } as const;
  const files = { name, source: "path", weights, identity: name, config: resolve(folder, "config.json") } as const;
  const { checkpoint, config: json } = await openCheckpoint(files, { precision: "float16", cacheFolder });
  const architecture = findArchitecture(json, folder);
  const config = architecture.readConfig(json, folder);
  const { cases } = JSON.parse(readFileSync(resolve(folder, "expected.json"), "utf8")) as { cases: GoldenCase[] };
  const graphTo = (layer: number | "last") => buildInferenceGraph(architecture, config, checkpoint, layer);
  return { checkpoint, config, cases, graphTo };
}

/** Largest difference, in units of the reference's largest number. */
function relativeError(actual: readonly Float32Array[], expected: readonly number[][]): number {
  const [values, reference] = [actual.flatMap((row) => [...row]), expected.flat()];
  const size = Math.max(...reference.map(Math.abs));
  return Math.max(...values.map((value, i) => Math.abs(value - reference[i]!))) / size;
}

describe.each(names)("golden %s in float16", (name) => {
  test("every layer's last token equals the reference (2^-11 · (1 + 2 · layer) of the largest)", async () => {
    const { config, cases, graphTo } = await openGolden(name);
    for (let layer = 0; layer <= config.numLayers; layer++) {
      const encoder = await Encoder.create(graphTo(layer), onDevice);
      const states = await encoder.run(TokenTree.of(cases.map(({ ids }) => ids)));
      await encoder.close();
      const isLast = layer === config.numLayers;
      const expected = cases.map(({ lastToken, allLayersLastToken }) =>
        isLast ? lastToken : allLayersLastToken[layer]!,
      );
      expect(relativeError(states, expected), `layer ${layer}`).toBeLessThan(toleranceOf(layer));
    }
  });

  test("a prefix that is run once and kept gives the same states", async () => {
    const { config, cases, graphTo } = await openGolden(name);
    const encoder = await Encoder.create(graphTo("last"), onDevice);
    const { ids, lastToken } = cases.find((golden) => golden.ids.length > 4)!;
    const prefix = await encoder.cachePrefix(ids.slice(0, 3));
    const states = await encoder.run(TokenTree.of([ids.slice(3)]), prefix);
    await encoder.close();
    expect(relativeError(states, [lastToken])).toBeLessThan(toleranceOf(config.numLayers));
  });

  test("matrices lie in the graph as float16, and nothing but norms and softmax computes in float32", async () => {
    const { graphTo } = await openGolden(name);
    const { nodes, initializers } = graphTo("last").graph;
    const matrices = [...initializers.values()].filter(({ value, data }) => "file" in data && value.shape.length === 2);
    expect(new Set(matrices.map(({ value }) => value.type))).toEqual(new Set(["float16"]));
    for (const type of ["Gemm", "MatMul", "RotaryEmbedding"]) {
      const outputs = nodes.filter((node) => node.type === type).map(({ outputs }) => outputs[0]!.type);
      expect(new Set(outputs), type).toEqual(new Set(outputs.length > 0 ? ["float16"] : []));
    }
    for (const type of ["Softmax", "RMSNormalization", "LayerNormalization"]) {
      for (const node of nodes.filter((node) => node.type === type)) {
        expect([...node.inputs, ...node.outputs].map((value) => value?.type)).not.toContain("float16");
      }
    }
  });
});

test.each<[string, LoadOptions]>([
  ["an adapter", { adapter: resolve(golden, "train-llama/adapter-after") }],
  ["the mean over tokens", { recipe: { pooling: "mean" } }],
  ["a demonstration", { recipe: { demonstrations: [{ sentence: "A dog.", word: "Animal" }] } }],
])("texts with %s have float32's vectors (cosine 0.9999)", async (_, options) => {
  const folder = join(cacheFolder, "llama");
  for (const file of ["config.json", "model.safetensors"]) cpSync(resolve(golden, "llama", file), join(folder, file));
  cpSync(resolve(golden, "../tokenizers/llama/tokenizer.json"), join(folder, "tokenizer.json"));
  const texts = ["A jockey riding a horse.", "b"];
  const embed = async (precision: "float32" | "float16"): Promise<Float32Array[]> => {
    await using model = await load(folder, { ...options, precision, cacheDir: cacheFolder });
    return await model.embed(texts); // before it is closed
  };
  const [expected, actual] = [await embed("float32"), await embed("float16")];
  for (const [i, vector] of actual.entries()) expect(cosineSimilarity(vector, expected[i]!)).toBeGreaterThan(0.9999);
  expect(actual[0]).not.toEqual(expected[0]); // it is another precision
});
