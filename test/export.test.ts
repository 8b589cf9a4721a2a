import { cpSync, readFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { load } from "../src/embed/load.ts";
import { cosineSimilarity } from "../src/embed/pooling.ts";
import { exportModel } from "../src/export/export-model.ts";
import { loadTokenizer } from "../src/text/tokenizer.ts";
import { writeTinyModel } from "./tiny-model.ts";

const fixtures = resolve(import.meta.dirname, "fixtures");
const adapter = join(fixtures, "golden/train-llama/adapter-after");

let folder: string;
let base: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-export-"));
  base = folder;
  await writeTinyModel(base);
});
afterAll(() => rm(folder, { recursive: true }));

const texts = ["A man is playing a flute.", "Someone plays the flute", "A plane is taking off.", "x"];

test("a merged model gives the vectors of its base with the adapter", async () => {
  const output = join(folder, "merged");
  await exportModel({ model: base, adapter, output, format: "safetensors", dtype: "float32", cacheDir: folder });
  await using beside = await load(base, { adapter, cacheDir: folder });
  await using merged = await load(output, { cacheDir: folder });
  const [expected, actual] = [await beside.embed(texts), await merged.embed(texts)];
  actual.forEach((vector, i) => {
    expect(Math.max(...vector.map((value, j) => Math.abs(value - expected[i]![j]!)))).toBeLessThan(1e-4);
  });
});

test("one that ends at an earlier layer has the same cosines", async () => {
  const early = join(folder, "early-adapter");
  cpSync(adapter, early, { recursive: true });
  await writeFile(join(early, "recipe.json"), JSON.stringify({ layer: 2 }));
  const output = join(folder, "early");
  await exportModel({ model: base, adapter: early, output, format: "safetensors", dtype: "float16", cacheDir: folder });
  await using beside = await load(base, { adapter: early, cacheDir: folder });
  await using merged = await load(output, { cacheDir: folder });
  expect(merged.numLayers).toBe(2);
  const [expected, actual] = [await beside.embed(texts), await merged.embed(texts)];
  for (const i of texts.keys()) {
    expect(cosineSimilarity(actual[i]!, expected[i]!)).toBeGreaterThan(0.9999); // float16 weights
    expect(Math.hypot(...actual[i]!)).toBeCloseTo(8, 2); // √64
  }
});

test("a sentence-transformers folder has last-token pooling and a tokenizer with the template in it", async () => {
  const output = join(folder, "st");
  const options = { model: base, adapter, output, dtype: "float16", cacheDir: folder } as const;
  await exportModel({ ...options, format: "sentence-transformers" });
  const json = async (name: string) => JSON.parse(await readFile(join(output, name), "utf8"));
  expect((await json("modules.json")).map(({ type }: { type: string }) => type.split(".").at(-1))).toEqual([
    "Transformer",
    "Pooling",
    "Normalize",
  ]);
  const pooling = await json("1_Pooling/config.json");
  expect(pooling).toMatchObject({ word_embedding_dimension: 64, pooling_mode_lasttoken: true });
  const { normalizers } = (await json("tokenizer.json")).normalizer;
  const contents = normalizers.map(({ content, prepend }: Record<string, string>) => content ?? prepend);
  expect(contents).toContain('This sentence : "');
  expect(contents).toContain('" means in one word:"');
  expect((await json("tokenizer_config.json")).pad_token).toBeTruthy();
});

test("a GGUF model's tokenizer is written out and gives the same ids", async () => {
  const { ggufTokenizer } = await import("../src/text/gguf-tokenizer.ts");
  const { tokenizerFromGguf } = await import("../src/text/tokenizer.ts");
  const { completeTokenizerJson } = await import("../src/export/tokenizer-json.ts");
  const stored = JSON.parse(readFileSync(join(fixtures, "tokenizers/gpt2.gguf-metadata.json"), "utf8"));
  const metadata = { ...stored, "tokenizer.ggml.pre": "smollm" };
  const file = join(folder, "written.json");
  await writeFile(file, JSON.stringify(completeTokenizerJson(ggufTokenizer(metadata, "a.gguf"))));
  const [written, original] = [await loadTokenizer(file), tokenizerFromGguf(metadata, "a.gguf")];
  const skip = original.bosIds.length;
  for (const text of texts)
    expect(written.encode(text).slice(written.bosIds.length)).toEqual(original.encode(text).slice(skip));
});
