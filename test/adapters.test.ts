import { cpSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readAdapterRecipe } from "../src/embed/adapter-recipe.ts";
import { load } from "../src/embed/load.ts";
import { cosineSimilarity } from "../src/embed/pooling.ts";
import { packagedAdapter } from "../src/files/known-models.ts";
import { type AdapterPair, readAdapter, writeAdapter } from "../src/models/adapter-file.ts";
import { templates } from "../src/text/templates.ts";

/** Written by adapters/make.py. */
interface Expected {
  readonly ids: number[][];
  readonly llama: number[][];
  readonly opt: number[][];
}

const fixtures = resolve(import.meta.dirname, "fixtures");
const expected: Expected = JSON.parse(readFileSync(join(fixtures, "adapters/expected.json"), "utf8"));
const adapterOf = (name: string): string => join(fixtures, `golden/train-${name}/adapter-after`);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-adapters-"));
  for (const name of ["llama", "opt"]) {
    for (const file of ["config.json", "model.safetensors"]) {
      cpSync(join(fixtures, "golden", name, file), join(folder, name, file));
    }
    cpSync(join(fixtures, `tokenizers/${name}/tokenizer.json`), join(folder, name, "tokenizer.json"));
  }
});
afterAll(() => rm(folder, { recursive: true }));

const worst = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(b).reduce((max, value, i) => Math.max(max, Math.abs(value - a[i]!)), 0);

describe.each(["llama", "opt"] as const)("an adapter of PEFT on %s", (name) => {
  test("gives the vectors that PEFT gives (max |Δ| 1e-4)", async () => {
    await using model = await load(join(folder, name), { adapter: adapterOf(name), cacheDir: folder });
    const vectors = await model.embedTokens(expected.ids);
    for (const [i, vector] of vectors.entries()) expect(worst(vector, expected[name][i]!)).toBeLessThan(1e-4);
    expect(model.recipe.adapter).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  test("written again is the same adapter", async () => {
    const adapter = await readAdapter(adapterOf(name));
    const tensors = [...adapter.pairs.values()].flatMap(({ a, b }) => [a, b]);
    const copy = join(folder, `${name}-copy`);
    await writeAdapter(copy, adapter.config, tensors, "F32");
    const again = await readAdapter(copy);
    expect(again.pairs).toEqual(adapter.pairs);
    expect({ ...again.config, targets: null }).toEqual({ ...adapter.config, targets: null });
  });
});

describe("int8 weights hold their adapter", () => {
  test("vectors are those of the adapter beside float32 weights (cosine 0.995), and apart from those of the model alone", async () => {
    const int8 = { precision: "int8", cacheDir: folder } as const;
    await using model = await load(join(folder, "llama"), { ...int8, adapter: adapterOf("llama") });
    await using plain = await load(join(folder, "llama"), int8);
    const [vectors, others] = [await model.embedTokens(expected.ids), await plain.embedTokens(expected.ids)];
    for (const [i, vector] of vectors.entries()) {
      const reference = Float32Array.from(expected.llama[i]!);
      expect(cosineSimilarity(vector, reference)).toBeGreaterThan(0.995);
      expect(cosineSimilarity(vector, reference)).toBeGreaterThan(cosineSimilarity(others[i]!, reference));
    }
  });

  test("a view without it is refused", async () => {
    await using model = await load(join(folder, "llama"), {
      precision: "int8",
      adapter: adapterOf("llama"),
      cacheDir: folder,
    });
    await expect(model.withRecipe({ adapter: null })).rejects.toThrow(/the weights hold the adapter/);
  });
});

test("the adapter of the package is read: half precision, up to the layer that its recipe reads, with its model card", async () => {
  const { base, folder: own } = packagedAdapter("smollm2-135m-nli")!;
  const { config, pairs } = await readAdapter(own);
  const recipe = await readAdapterRecipe(own);
  expect([base, config.rank, recipe.layer]).toEqual(["smollm2-135m", 16, 26]);
  const layers = new Set([...pairs.keys()].map((scope) => Number(/^layers\.(\d+)\./.exec(scope)![1])));
  expect([...layers].sort((a, b) => a - b)).toEqual(Array.from({ length: 26 }, (_, i) => i));
  expect(statSync(join(own, "adapter_model.safetensors")).size).toBeLessThan(12e6);
  expect(readFileSync(join(own, "README.md"), "utf8")).toMatch(/Licence|licence/);
});

test("the recipe that was found for a model alone is refused on one with an adapter", async () => {
  const options = { adapter: adapterOf("llama"), recipeName: "best", cacheDir: folder };
  await expect(load(join(folder, "llama"), options)).rejects.toThrow(/best is for a model without an adapter/);
});

test("a view keeps the adapter unless its recipe says otherwise, and a recipe for another one is warned about", async () => {
  const warnings: string[] = [];
  await using model = await load(join(folder, "llama"), {
    adapter: adapterOf("llama"),
    recipe: { adapter: `sha256:${"0".repeat(64)}` },
    onWarning: (message) => warnings.push(message),
    cacheDir: folder,
  });
  expect(warnings).toEqual([
    expect.stringMatching(/the recipe is for the adapter sha256:0+, but the one on the model is/),
  ]);
  await using view = await model.withRecipe({ template: "a {text}" });
  await using bare = await model.withRecipe({ adapter: null });
  const [own, kept, none] = await Promise.all([model, view, bare].map((one) => one.embedTokens(expected.ids)));
  expect(kept).toEqual(own);
  expect(worst(none![1]!, own![1]!)).toBeGreaterThan(1e-3);
});

test("a pair on the output embedding, which no vector asks for, is left out", async () => {
  const copy = join(folder, "with-head");
  const adapter = await readAdapter(adapterOf("llama"));
  const [[scope, { a, b }]] = adapter.pairs as unknown as [[string, AdapterPair]];
  const head = [a, b].map((tensor) => ({ ...tensor, name: tensor.name.replace(scope, "lm_head") }));
  const pairs = [...adapter.pairs.values()].flatMap((pair) => [pair.a, pair.b]);
  await writeAdapter(copy, adapter.config, [...pairs, ...head], "F32");
  expect((await readAdapter(copy)).pairs).toEqual(adapter.pairs);
});

/** The llama adapter, whose names begin with `model.`, as those on a model with a head do. */
async function adapterWithPatterns(name: string, changes: Record<string, unknown>): Promise<string> {
  const copy = join(folder, name);
  const { config, pairs } = await readAdapter(adapterOf("llama"));
  const tensors = [...pairs.values()].flatMap(({ a, b }) => [a, b]).map((t) => ({ ...t, name: `model.${t.name}` }));
  await writeAdapter(copy, config, tensors, "F32");
  const file = join(copy, "adapter_config.json");
  await writeFile(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...changes }));
  return copy;
}

// Which modules have the alpha of their own: by PEFT 0.21's PeftModel.from_pretrained on a LlamaForCausalLM, module.scaling.
test.each([
  ["q_proj", 3],
  ["layers.0.self_attn.q_proj", 1],
  ["model\\.layers\\.0\\.self_attn\\.q_proj", 1],
  ["^model\\.layers\\.0\\..*", 7],
  [".*\\.layers\\.0\\.self_attn\\.q_proj", 1],
  ["model.layers.1.self_attn.q_proj|model.layers.0.self_attn.q_proj", 2],
  ["proj", 0],
  ["^layers.0.self_attn.q_proj", 0],
])("alpha_pattern %j is found as PEFT finds it", async (key, expectedCount) => {
  const { config, pairs } = await readAdapter(
    await adapterWithPatterns("patterns", { alpha_pattern: { [key]: 1000 } }),
  );
  const own = [...pairs.values()].filter(({ scale }) => scale === 1000 / config.rank);
  expect(own).toHaveLength(expectedCount);
  expect([...pairs.values()].filter(({ scale }) => scale === config.alpha / config.rank)).toHaveLength(
    pairs.size - expectedCount,
  );
});

test("with use_rslora an adapter counts alpha / √rank", async () => {
  const { config, pairs } = await readAdapter(await adapterWithPatterns("rslora", { use_rslora: true }));
  for (const { scale } of pairs.values()) expect(scale).toBeCloseTo(config.alpha / Math.sqrt(config.rank), 12);
});

test("several adapters share one model, and a view chooses", async () => {
  const [before, after] = ["adapter-before", "adapter-after"].map((part) => join(fixtures, "golden/train-llama", part));
  await using model = await load(join(folder, "llama"), { adapters: [before!, after!], cacheDir: folder });
  const identity = async (path: string): Promise<string> => (await readAdapter(path)).identity;
  await using first = await model.withRecipe({ adapter: await identity(before!) });
  await using second = await model.withRecipe({ adapter: await identity(after!) });
  const [plain, one, two] = await Promise.all([model, first, second].map((view) => view.embedTokens(expected.ids)));
  expect(worst(two![1]!, expected.llama[1]!)).toBeLessThan(1e-4);
  expect(worst(one![1]!, expected.llama[1]!)).toBeGreaterThan(1e-3);
  expect(worst(plain![1]!, one![1]!)).toBeGreaterThan(1e-3);
});

test("the recipe beside an adapter is the default, and what is asked for wins over it", async () => {
  const withRecipe = join(folder, "with-recipe");
  cpSync(adapterOf("llama"), withRecipe, { recursive: true });
  await writeFile(join(withRecipe, "recipe.json"), JSON.stringify({ layer: 2, template: 'A "{text}" is a "' }));
  await using model = await load(join(folder, "llama"), { adapter: withRecipe, cacheDir: folder });
  expect(model.recipe).toMatchObject({ layer: 2, template: 'A "{text}" is a "' });
  await using other = await load(join(folder, "llama"), {
    adapter: withRecipe,
    recipe: { layer: 1 },
    cacheDir: folder,
  });
  expect(other.recipe.layer).toBe(1);
  const names = { adapter: withRecipe, recipeName: "pretendedCot", cacheDir: folder };
  await using named = await load(join(folder, "llama"), names);
  expect(named.recipe).toMatchObject({ layer: 2, template: templates.pretendedCot });
});

describe("an adapter that cannot be used is refused with what is wrong", () => {
  const edited = async (name: string, edit: (json: Record<string, unknown>) => void): Promise<string> => {
    const copy = join(folder, name);
    cpSync(adapterOf("llama"), copy, { recursive: true });
    const json = JSON.parse(readFileSync(join(copy, "adapter_config.json"), "utf8"));
    edit(json);
    await writeFile(join(copy, "adapter_config.json"), JSON.stringify(json));
    return copy;
  };

  test.each([
    ["DoRA", { use_dora: true }, /"use_dora": true is not supported/],
    ["trained biases", { bias: "all" }, /"bias": "all" is not supported/],
    ["another rank", { r: 5 }, /rank 5/],
    [
      "PiSSA, which changes the base",
      { init_lora_weights: "pissa_niter_4" },
      /"pissa_niter_4" changes the base's weights/,
    ],
    ["OLoRA, which does too", { init_lora_weights: "olora" }, /"olora" changes the base's weights/],
    ["another kind", { peft_type: "IA3" }, /"peft_type": "IA3"/],
    ["a rank of its own that it has not", { rank_pattern: { q_proj: 4 } }, /q_proj" has A .* says rank 4/],
    [
      "a pattern that is none here",
      { alpha_pattern: { "(?P<x>q_proj)": 4 } },
      /"alpha_pattern" has a key that is no regular/,
    ],
    ["an alpha that is no number", { alpha_pattern: { q_proj: "4" } }, /"q_proj" is "4", but must be a number over 0/],
  ])("%s", async (name, changes, message) => {
    const adapter = await edited(name, (json) => Object.assign(json, changes));
    await expect(readAdapter(adapter)).rejects.toThrow(message);
  });

  test("one in other numbers, and one without a pair", async () => {
    const copy = await edited("other numbers", () => {});
    const file = join(copy, "adapter_model.safetensors");
    const name = "base_model.model.layers.0.self_attn.q_proj.lora_A.weight";
    const head = Buffer.from(JSON.stringify({ [name]: { dtype: "F64", shape: [8, 1], data_offsets: [0, 64] } }));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(head.length));
    await writeFile(file, Buffer.concat([size, head, Buffer.alloc(64)]));
    await expect(readAdapter(copy)).rejects.toThrow(/lora_A\.weight" is not in F32, F16 or BF16/);
    await writeFile(file, Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from("{}")]));
    await expect(readAdapter(copy)).rejects.toThrow(/adapter_model\.safetensors has no LoRA pair/);
  });

  test("one for another model", async () => {
    const wrong = load(join(folder, "opt"), { adapter: adapterOf("llama"), cacheDir: folder });
    await expect(wrong).rejects.toThrow(/no weight "layers\.0\.mlp\.down_proj" to adapt/);
  });

  test("a folder without an adapter", async () => {
    await expect(readAdapter(folder)).rejects.toThrow(
      /adapter_config\.json: no such file\. An adapter is a folder with/,
    );
  });

  test("one that was not loaded", async () => {
    await using model = await load(join(folder, "llama"), { cacheDir: folder });
    const adapter = `sha256:${"0".repeat(64)}`;
    await expect(model.withRecipe({ adapter })).rejects.toThrow(/is not loaded/);
  });

  test("several on int8 weights", async () => {
    const options = { adapters: [adapterOf("llama")], precision: "int8", cacheDir: folder } as const;
    await expect(load(join(folder, "llama"), options)).rejects.toThrow(/int8 weights hold their adapter/);
  });
});
