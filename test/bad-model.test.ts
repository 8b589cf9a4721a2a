import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { load } from "../src/embed/load.ts";
import { ModelError } from "../src/errors.ts";
import { architectures, findArchitecture } from "../src/models/registry.ts";
import { mutatedJson } from "./mutations.ts";

/** A whole small model, in which each test damages one thing, and the one error that says which. */
const fixtures = resolve(import.meta.dirname, "fixtures");
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-bad-model-"));
  for (const name of ["config.json", "model.safetensors"]) {
    cpSync(join(fixtures, "golden/llama-gqa-rope3", name), join(folder, name));
  }
  cpSync(join(fixtures, "tokenizers/llama/tokenizer.json"), join(folder, "tokenizer.json"));
});
afterEach(() => rm(folder, { recursive: true }));

type Header = Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>;

function editWeights(edit: (header: Header, data: Buffer) => void): void {
  const file = join(folder, "model.safetensors");
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header: Header = JSON.parse(bytes.toString("utf8", 8, start));
  const data = bytes.subarray(start);
  edit(header, data);
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  writeFileSync(file, Buffer.concat([length, json, data]));
}

function editConfig(change: object): void {
  const file = join(folder, "config.json");
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...change }));
}

async function embedOnce(): Promise<Float32Array[]> {
  const model = await load(folder, { cacheDir: join(folder, "cache"), offline: true });
  try {
    return await model.embed(["a cat"]);
  } finally {
    await model.close();
  }
}

const query = "layers.0.self_attn.q_proj.weight";

test("the model is good before it is damaged", async () => {
  const [vector] = await embedOnce();
  expect(vector).toHaveLength(96);
});

test("a text with a token that the model has no row for is refused, others are embedded", async () => {
  const vocabulary: Record<string, number> = JSON.parse(readFileSync(join(folder, "tokenizer.json"), "utf8")).model
    .vocab;
  const outside = Object.entries(vocabulary).find(([token, id]) => id >= 512 && /^\p{L}+$/u.test(token));
  const model = await load(folder, { cacheDir: join(folder, "cache"), offline: true });
  await expect(model.embed([`a ${outside?.[0] ?? "\u0000"}`])).rejects.toMatchObject({ code: "tokenizer" });
  expect(await model.embed(["a cat"])).toHaveLength(1);
  await model.close();
});

test.each<[string, string, RegExp, () => unknown]>([
  [
    "a missing tensor",
    "weight-missing",
    /q_proj\.weight" is missing\. The checkpoint is incomplete/,
    () =>
      editWeights((header) => {
        header[`${query}.gone`] = header[query]!;
        delete header[query];
      }),
  ],
  [
    "a tensor of another shape",
    "weight-shape",
    /q_proj\.weight" is \[48,192\], but the config asks for \[96,96\]/,
    () =>
      editWeights((header) => {
        header[query]!.shape = [48, 192];
      }),
  ],
  [
    "weights of NaN",
    "nan-output",
    /a vector holds NaN\. The weights are damaged/,
    () => editWeights((_, data) => data.fill(0xff)),
  ],
  [
    "cut weights",
    "corrupt-file",
    /bytes are missing: .* The download was cut/,
    () => truncate(join(folder, "model.safetensors"), 5000),
  ],
  [
    "an architecture nobody knows",
    "architecture",
    /"gpt_neox" is not known; known: llama, mistral, opt, qwen2, qwen3/,
    () => editConfig({ model_type: "gpt_neox" }),
  ],
  [
    "a rope scaling that is not computed",
    "config",
    /rope scaling "yarn" is not supported/,
    () => editConfig({ rope_parameters: { rope_type: "yarn", factor: 2 } }),
  ],
  [
    "two rope scalings",
    "config",
    /"rope_parameters" and rope_scaling differ\. Leave one of them out/,
    () => editConfig({ rope_scaling: { rope_type: "linear", factor: 4 } }),
  ],
  [
    "a rope scaling that is no object",
    "config",
    /"rope_parameters" is "linear", but must be an object/,
    () => editConfig({ rope_parameters: "linear" }),
  ],
  [
    "a rope scaling of our own making",
    "config",
    /rope scaling "factors" is not supported/,
    () => editConfig({ rope_parameters: { rope_type: "factors" } }),
  ],
  [
    "attention that is not causal",
    "config",
    /"is_causal": false is not supported; supported: true, null/,
    () => editConfig({ is_causal: false }),
  ],
  [
    "a config that is cut",
    "config",
    /config\.json: not JSON \(.*\)\. Download the model again/,
    () => truncate(join(folder, "config.json"), 40),
  ],
  [
    "a tokenizer that is cut",
    "tokenizer",
    /tokenizer\.json: no tokenizer can be made of it/,
    () => truncate(join(folder, "tokenizer.json"), 900),
  ],
  ["no tokenizer", "tokenizer", /tokenizer\.json is missing/, () => rm(join(folder, "tokenizer.json"))],
])("%s is a ModelError of one line", async (_, code, message, damage) => {
  await damage();
  const error = await embedOnce().then(
    () => expect.fail("no error"),
    (error: Error) => error,
  );
  expect(error).toBeInstanceOf(ModelError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  expect(error.message).not.toContain("\n");
});

describe("a damaged config.json is a config or a ModelError", () => {
  /** Sizes that no array can have, and rope type "factors", which only a GGUF file has with its numbers. */
  const isLeftOut = (json: unknown): boolean =>
    /"factors"/.test(JSON.stringify(json)) ||
    ["head_dim", "hidden_size"].some((key) => {
      const size = (json as Record<string, unknown>)[key];
      return typeof size === "number" && size > 2 ** 20;
    });

  test("whose model_type is an object that cannot be a string", () => {
    expect(() => findArchitecture({ model_type: { toString: "" } }, "c")).toThrow(ModelError);
  });

  test.each([...architectures.keys()])("%s", (modelType) => {
    const name = modelType === "llama" ? "llama-gqa-rope3" : modelType;
    const whole = JSON.parse(readFileSync(join(fixtures, "golden", name, "config.json"), "utf8"));
    fc.assert(
      fc.property(mutatedJson(whole), (json) => {
        fc.pre(!isLeftOut(json));
        try {
          const config = findArchitecture(json as Record<string, unknown>, "c").readConfig(json as never, "c");
          expect(config.hiddenSize).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(ModelError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
