import { execFile } from "node:child_process";
import { cpSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type LoadOptions, load } from "../../src/embed/load.ts";
import { cosineSimilarity } from "../../src/embed/pooling.ts";
import { exportModel } from "../../src/export/export-model.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { writeTinyModel } from "../tiny-model.ts";

/** What others make of what we write, and we of what they write; without a Python that has them there is nothing to compare. */
const python = process.env.ONEWORD_PEER_PYTHON;
const skipped = "ONEWORD_PEER_PYTHON names no Python with torch, transformers, peft, sentence-transformers and gguf";

interface Result {
  readonly ids: number[][];
  readonly vectors: number[][];
  readonly types?: Record<string, string>;
  readonly tokens?: number;
}

const texts = ["A man is playing a flute.", "Someone plays the flute", 'He says "no" (twice)', "x"];
const long = "one very long sentence ".repeat(200);
const prompt = (text: string): string =>
  `This sentence : "${text.replaceAll('"', "'").replace(/(?<![.?"'])$/, ".")}" means in one word:"`;
const models = [
  ["llama", "llama"],
  ["mistral", "llama-bpe"],
  ["qwen2", "qwen2"],
  ["qwen3", "smollm"],
] as const;
const ours = resolve(import.meta.dirname, "../fixtures/golden/train-llama/adapter-after");

/** What transformers 5.23 does not read of a GGUF file: Qwen3's attention.key_length. */
const unread = (architecture: string): Record<string, unknown> => (architecture === "qwen3" ? { head_dim: 32 } : {});

let folder: string;
let results: Map<string, Result>;
const path = (name: string): string => join(folder, name);

async function vectorsOf(model: string, options: LoadOptions = {}): Promise<Float32Array[]> {
  await using loaded = await load(path(model), { ...options, cacheDir: folder });
  return await loaded.embed(texts);
}

const leastCosine = (ours: readonly Float32Array[], theirs: readonly number[][]): number =>
  Math.min(...ours.map((vector, i) => cosineSimilarity(vector, Float32Array.from(theirs[i]!))));

const largestDifference = (ours: readonly Float32Array[], theirs: readonly number[][]): number =>
  Math.max(...ours.flatMap((vector, i) => [...vector].map((value, j) => Math.abs(value - theirs[i]![j]!))));

beforeAll(async () => {
  if (!python) return;
  folder = await mkdtemp(join(tmpdir(), "oneword-peers-"));
  const prompts = texts.map(prompt);
  const jobs: Record<string, unknown>[] = [];
  for (const [architecture, tokenizer] of models) {
    await mkdir(path(architecture));
    await writeTinyModel(path(architecture), { architecture, tokenizer });
    await writeFile(join(path(architecture), "tokenizer_config.json"), '{"tokenizer_class":"PreTrainedTokenizerFast"}');
    const adapter = architecture === "llama" ? { adapter: ours } : {};
    const options = { model: path(architecture), ...adapter, cacheDir: folder };
    const output = (kind: string): string => path(`${tokenizer}.${kind}`); // transformers takes a name with "mistral" in it for more than a name
    await exportModel({ ...options, output: output("hf"), format: "safetensors", dtype: "float32" });
    await exportModel({ ...options, output: output("st"), format: "sentence-transformers", dtype: "float32" });
    await exportModel({ ...options, output: output("gguf"), format: "gguf", dtype: "float16" });
    jobs.push(
      { kind: "transformers", path: output("hf"), texts: prompts },
      { kind: "sentence-transformers", path: output("st"), texts: [...texts, long] },
      {
        kind: "gguf",
        path: output("gguf"),
        tokenizer: path(architecture),
        texts: prompts,
        config: unread(architecture),
      },
    );
  }
  cpSync(ours, path("ours"), { recursive: true });
  jobs.push(
    { kind: "peft", base: path("llama"), path: path("ours"), texts: prompts },
    { kind: "new-adapter", base: path("llama"), path: path("theirs"), texts: prompts },
  );
  const run = promisify(execFile)(python, [join(import.meta.dirname, "peers.py")], { maxBuffer: 1 << 28 });
  run.child.stdin!.end(JSON.stringify(jobs));
  const found: Result[] = JSON.parse((await run).stdout);
  results = new Map(jobs.map((job, i) => [String(job.path), found[i]!]));
}, 900_000);
beforeEach(({ skip }) => skip(!python, skipped));
afterAll(() => (folder ? rm(folder, { recursive: true }) : undefined));

describe.each(models)("%s with the tokenizer %s", (architecture, tokenizer) => {
  const options = architecture === "llama" ? { adapter: ours } : {};
  const idsOf = async (): Promise<number[][]> => {
    const loaded = await loadTokenizer(join(path(architecture), "tokenizer.json"));
    return texts.map((text) => loaded.encode(prompt(text)));
  };

  test("as safetensors has our ids and vectors in transformers", async () => {
    const { ids, vectors } = results.get(path(`${tokenizer}.hf`))!;
    expect(ids).toEqual(await idsOf());
    expect(largestDifference(await vectorsOf(architecture, options), vectors)).toBeLessThan(1e-4);
  });

  test("as GGUF has our vectors in transformers, and a vocabulary and types that llama.cpp wants", async () => {
    const { vectors, types, tokens } = results.get(path(`${tokenizer}.gguf`))!;
    expect(leastCosine(await vectorsOf(`${tokenizer}.gguf`), vectors)).toBeGreaterThan(0.999999);
    expect(leastCosine(await vectorsOf(architecture, options), vectors)).toBeGreaterThan(0.9999); // float16
    expect(tokens).toBe(640);
    expect([types!["blk.0.attn_q.weight"], types!["blk.0.attn_norm.weight"]]).toEqual(["F16", "F32"]);
  });

  test("in sentence-transformers has our ids and cosines, and a long text keeps the prompt's end", async () => {
    const { ids, vectors } = results.get(path(`${tokenizer}.st`))!;
    const expected = await idsOf();
    expect(ids.slice(0, texts.length)).toEqual(expected);
    expect(leastCosine(await vectorsOf(architecture, options), vectors)).toBeGreaterThan(0.999999);
    const cut = ids.at(-1)!;
    const { encode } = await loadTokenizer(join(path(architecture), "tokenizer.json"));
    const tail = encode('x" means in one word:"').slice(encode('x"').length);
    expect(tail.length).toBeGreaterThan(2);
    expect(cut.slice(-tail.length)).toEqual(tail);
    expect(cut.length).toBe(256); // max_position_embeddings
    expect(cut.slice(0, 4)).toEqual(expected[0]!.slice(0, 4));
  });
});

test("PEFT gives our vectors with our adapter", async () => {
  const { vectors } = results.get(path("ours"))!;
  expect(largestDifference(await vectorsOf("llama", { adapter: path("ours") }), vectors)).toBeLessThan(1e-4);
});

test("we give PEFT's vectors with PEFT's adapter", async () => {
  const { vectors } = results.get(path("theirs"))!;
  const adapted = await vectorsOf("llama", { adapter: path("theirs") });
  expect(largestDifference(adapted, vectors)).toBeLessThan(1e-4);
  expect(leastCosine(await vectorsOf("llama"), vectors)).toBeLessThan(0.999); // it does something
});
