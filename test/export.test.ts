import { cpSync, existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LoadOptions, load } from "../src/embed/load.ts";
import { cosineSimilarity } from "../src/embed/pooling.ts";
import { exportModel } from "../src/export/export-model.ts";
import { writtenVocabulary } from "../src/export/gguf-vocabulary.ts";
import { templatedTokenizer } from "../src/export/sentence-transformers.ts";
import { tokensById } from "../src/export/tokenizer-json.ts";
import { readGguf } from "../src/files/gguf.ts";
import { loadTokenizer, tokenizerFromGguf } from "../src/text/tokenizer.ts";
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

type Json = Record<string, unknown> & { readonly model: Record<string, unknown> };

/** The tiny model with another config.json, or its matrices times a factor. */
async function tinyModel(name: string, edit: (config: Json) => Json, factor = 1): Promise<string> {
  const copy = join(folder, name);
  await mkdir(copy);
  await writeTinyModel(copy, { factor });
  const file = join(copy, "config.json");
  await writeFile(file, JSON.stringify(edit(JSON.parse(readFileSync(file, "utf8")))));
  return copy;
}

const texts = ["A man is playing a flute.", "Someone plays the flute", "A plane is taking off.", "x"];

test("a place below a file is refused by its name", async () => {
  const output = join(base, "config.json", "model");
  const failed = exportModel({ model: base, output, format: "safetensors", dtype: "float32", cacheDir: folder });
  await expect(failed).rejects.toMatchObject({
    code: "bad-option",
    message: expect.stringMatching(
      /^--output .*config\.json.model: cannot be written \(\w+\)\. Choose another place\.$/,
    ),
  });
});

test("the model or the adapter itself is not written over", async () => {
  const to = (output: string, format: "safetensors" | "gguf", changes: { model?: string; adapter?: string } = {}) =>
    exportModel({ model: base, output, format, dtype: "float32", cacheDir: folder, ...changes });
  const gguf = join(folder, "one", "m.gguf");
  await mkdir(join(folder, "one"));
  await to(gguf, "gguf");
  for (const failed of [
    () => to(`${base}/.`, "safetensors"),
    () => to(adapter, "safetensors", { adapter }),
    () => to(gguf, "gguf", { model: gguf }),
    () => to(gguf, "gguf", { model: join(folder, "one") }), // a folder that holds it
  ]) {
    await expect(failed()).rejects.toMatchObject({
      code: "bad-option",
      message: expect.stringMatching(/what is to be exported is there itself\. Choose/),
    });
  }
});

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

test("an OPT that ends at an earlier layer has no final norm, and one that ends in a projection is refused", async () => {
  const copy = async (name: string, model: string): Promise<string> => {
    for (const file of ["config.json", "model.safetensors"]) {
      cpSync(join(fixtures, "golden", name, file), join(folder, model, file));
    }
    cpSync(join(fixtures, "tokenizers/opt/tokenizer.json"), join(folder, model, "tokenizer.json"));
    return join(folder, model);
  };
  const options = { recipe: { layer: 1 }, format: "safetensors", dtype: "float32", cacheDir: folder } as const;
  const model = await copy("opt", "opt-model");
  await exportModel({ ...options, model, output: join(folder, "opt-cut") });
  await using whole = await load(model, { cacheDir: folder });
  await using cut = await load(join(folder, "opt-cut"), { cacheDir: folder });
  const ids = [[2, 5, 9, 11]];
  const [[expected], [actual]] = [await whole.embedTokens(ids, { layer: 1 }), await cut.embedTokens(ids)];
  expect(Math.max(...actual!.map((value, i) => Math.abs(value - expected![i]!)))).toBeLessThan(1e-5);
  const projected = exportModel({
    ...options,
    model: await copy("opt-post-norm", "opt-350m"),
    output: join(folder, "no"),
  });
  await expect(projected).rejects.toThrow(/the layers end in a projection/);
});

test("kinds of layers in config.json are those of the layers that are kept", async () => {
  const model = await tinyModel("kinds", (config) => ({ ...config, layer_types: ["a", "b", "c"] }));
  const output = join(folder, "kinds-cut");
  await exportModel({ model, output, recipe: { layer: 2 }, format: "safetensors", dtype: "float16", cacheDir: folder });
  const config = JSON.parse(await readFile(join(output, "config.json"), "utf8"));
  expect([config.num_hidden_layers, config.layer_types]).toEqual([2, ["a", "b"]]);
});

test("what is done to vectors afterwards is refused for sentence-transformers, which has no module for it", async () => {
  const whitening = { mean: Buffer.from(new Float32Array(64).buffer).toString("base64"), directions: "", scales: [] };
  const options = { model: base, output: join(folder, "none"), dtype: "float16", cacheDir: folder } as const;
  for (const recipe of [{ whitening }, { pooling: "mean" as const }, { subtractTemplate: 0.5 }]) {
    const failed = exportModel({ ...options, format: "sentence-transformers", recipe });
    await expect(failed).rejects.toThrow(/has no module for the recipe's (whitening|pooling|subtractTemplate)/);
  }
});

test("config.json names the class and the one dtype that the weights have", async () => {
  const model = await tinyModel("bfloat16", (config) => ({ ...config, dtype: "bfloat16" }));
  const output = join(folder, "float16");
  await exportModel({ model, output, format: "safetensors", dtype: "float16", cacheDir: folder });
  const config = JSON.parse(await readFile(join(output, "config.json"), "utf8"));
  expect(config).toMatchObject({ architectures: ["LlamaModel"], torch_dtype: "float16" });
  expect(config).not.toHaveProperty("dtype"); // by which transformers 5 would go
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
  expect(await json("sentence_bert_config.json")).toMatchObject({ tokenizer_args: { tokenizer_type: "glm" } });
  const pooling = await json("1_Pooling/config.json");
  expect(pooling).toMatchObject({ word_embedding_dimension: 64, pooling_mode_lasttoken: true });
  const { normalizers } = (await json("tokenizer.json")).normalizer;
  const contents = normalizers.map(({ content, prepend }: Record<string, string>) => content ?? prepend);
  expect(contents).toContain('This sentence : "');
  expect(contents).toContain('"'); // closes the quotation, and grows together with the text
  expect((await json("tokenizer_config.json")).pad_token).toBeTruthy();
  const read = load(output, { cacheDir: folder }); // would put a template around the one that is in it
  await expect(read).rejects.toThrow(/puts "This sentence : \\"" around every text: .* Export it as safetensors/);
});

describe.each(["llama", "smollm", "qwen2", "llama-bpe"])("the tokenizer of a template, %s", (name) => {
  const file = join(fixtures, "tokenizers", name, "tokenizer.json");

  test("gives every text our ids", async () => {
    const [tokenizer, json] = [await loadTokenizer(file), JSON.parse(readFileSync(file, "utf8"))];
    const parts = { prefix: 'This sentence : "', suffix: '" means in one word:"' };
    const templated = templatedTokenizer(json, tokenizer, parts, []);
    const { single } = templated.post_processor as { single: { SpecialToken?: { id: string }; Sequence?: unknown }[] };
    const behind = single.slice(single.findIndex((part) => part.Sequence) + 1).map((part) => part.SpecialToken!.id);
    const tokens = tokensById(json);
    const tail = behind.map((token) => tokens.indexOf(token));
    for (const text of texts) {
      const ids = tokenizer.encode(parts.prefix + text + parts.suffix);
      expect(ids.slice(-tail.length)).toEqual(tail);
      expect([...tokenizer.encode(`${parts.prefix}${text}"`), ...tail]).toEqual(ids);
    }
  });
});

test.each(['A "{text}" and again "{text}"', ['A "{text}"', 'B "{text}"']])(
  "sentence-transformers cannot have the prompt %j",
  async (template) => {
    const options = { model: base, output: join(folder, "none"), dtype: "float16", cacheDir: folder } as const;
    const failed = exportModel({ ...options, format: "sentence-transformers", recipe: { template } });
    await expect(failed).rejects.toMatchObject({ code: "bad-recipe" });
  },
);

describe("a GGUF file", () => {
  const worst = (a: readonly Float32Array[], b: readonly Float32Array[]): number =>
    Math.max(...a.flatMap((vector, i) => [...vector].map((value, j) => Math.abs(value - b[i]![j]!))));

  async function vectorsOf(model: string, options: LoadOptions = {}): Promise<Float32Array[]> {
    await using loaded = await load(model, { ...options, cacheDir: folder });
    return await loaded.embed(texts);
  }

  test.each([
    ["float32", 1e-4],
    ["float16", 0.02],
  ] as const)(
    "in %s gives the vectors of its base with the adapter, and so does one made of it",
    async (dtype, most) => {
      const [output, again] = [join(folder, `merged-${dtype}.gguf`), join(folder, `again-${dtype}.gguf`)];
      await exportModel({ model: base, adapter, output, format: "gguf", dtype, cacheDir: folder });
      await exportModel({ model: output, output: again, format: "gguf", dtype, cacheDir: folder });
      const expected = await vectorsOf(base, { adapter });
      const vectors = await vectorsOf(output);
      expect(worst(vectors, expected)).toBeLessThan(most);
      expect(worst(await vectorsOf(again), vectors)).toBe(0);
    },
  );

  test("keeps norms in float32, matrices in float16, and says so", async () => {
    const output = join(folder, "types.gguf");
    await exportModel({ model: base, output, format: "gguf", dtype: "float16", cacheDir: folder });
    const { metadata, tensors } = await readGguf(output);
    expect(metadata).toMatchObject({ "general.architecture": "llama", "general.file_type": 1 });
    expect(metadata["tokenizer.ggml.tokens"]).toHaveLength(640);
    for (const { type, shape } of tensors.values()) expect(type).toBe(shape.length === 1 ? "F32" : "F16");
  });

  test("ends at the layer that is read", async () => {
    const output = join(folder, "early.gguf");
    const recipe = { layer: 2 };
    await exportModel({ model: base, output, format: "gguf", dtype: "float32", recipe, cacheDir: folder });
    const [actual, expected] = [await vectorsOf(output), await vectorsOf(base, { recipe })];
    for (const i of texts.keys()) expect(cosineSimilarity(actual[i]!, expected[i]!)).toBeGreaterThan(0.999999);
  });

  test("keeps scaled rotary positions", async () => {
    const scaled = await tinyModel("scaled", (config) => ({
      ...config,
      rope_parameters: {
        rope_type: "llama3",
        rope_theta: 10_000,
        factor: 4,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    }));
    const output = join(folder, "scaled.gguf");
    await exportModel({ model: scaled, output, format: "gguf", dtype: "float32", cacheDir: folder });
    const { tensors } = await readGguf(output);
    expect([...tensors.keys()]).toContain("rope_freqs.weight");
    expect(worst(await vectorsOf(output), await vectorsOf(scaled))).toBeLessThan(1e-4);
  });

  test.each(["llama", "smollm", "qwen2", "llama-bpe"])("has the vocabulary of tokenizer.json, %s", async (name) => {
    const file = join(fixtures, "tokenizers", name, "tokenizer.json");
    const [tokenizer, json] = [await loadTokenizer(file), JSON.parse(readFileSync(file, "utf8"))];
    const written = writtenVocabulary({ json, config: {}, tokenizer, vocabSize: 640, source: file });
    const metadata = Object.fromEntries([...written].map(([key, { value }]) => [key, value]));
    const read = tokenizerFromGguf(metadata, "written.gguf");
    const nasty: string[] = JSON.parse(readFileSync(join(fixtures, "tokenizers/texts.json"), "utf8"));
    for (const text of nasty) expect(read.encode(text)).toEqual(tokenizer.encode(text));
  });

  test.each([
    ["a kind it does not know", (json: Json) => ({ ...json, model: { ...json.model, type: "Unigram" } }), /"Unigram"/],
    [
      "cuts without a name",
      (json: Json) => ({ ...json, pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Punctuation" }] } }),
      /no name for the way/,
    ],
    ["more tokens than rows", (json: Json) => json, /has the id \d+, but the model has 100 rows/],
  ])("refuses a tokenizer with %s", async (_, edit, message) => {
    const file = join(fixtures, "tokenizers/smollm/tokenizer.json");
    const json = edit(JSON.parse(readFileSync(file, "utf8")));
    const tokenizer = await loadTokenizer(file);
    const write = () => writtenVocabulary({ json, config: {}, tokenizer, vocabSize: 100, source: file });
    expect(write).toThrow(message);
  });

  test("cannot hold OPT, which is said before anything is written", async () => {
    const opt = join(fixtures, "golden/opt");
    const output = join(folder, "opt.gguf");
    const failed = exportModel({ model: opt, output, format: "gguf", dtype: "float16", cacheDir: folder });
    await expect(failed).rejects.toThrow(/GGUF has no architecture for opt/);
    expect(existsSync(output)).toBe(false);
  });

  test("must be named as one", async () => {
    const options = { model: base, format: "gguf", dtype: "float16", cacheDir: folder } as const;
    await expect(exportModel({ ...options, output: join(folder, "model") })).rejects.toThrow(/ends in \.gguf/);
  });

  test("is not written in half: numbers beyond float16 are an error that names the tensor", async () => {
    const large = await tinyModel("large", (config) => config, 1e6);
    const output = join(folder, "large.gguf");
    const failed = exportModel({ model: large, output, format: "gguf", dtype: "float16", cacheDir: folder });
    await expect(failed).rejects.toThrow(/float16 cannot hold/);
    expect(existsSync(output)).toBe(false);
  });
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
