import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InputError, ModelError } from "../src/errors.ts";
import { readJsonlField } from "../src/files/jsonl.ts";
import { parseIndex, readSafetensorsIndex } from "../src/files/safetensors.ts";
import { readTextLines } from "../src/files/text-lines.ts";
import { completeRecipe } from "../src/text/complete-recipe.ts";
import { promptParts } from "../src/text/prompt-parts.ts";
import { recipeId } from "../src/text/recipe.ts";
import { readRecipe } from "../src/text/recipe-fields.ts";
import { loadTokenizer, tokenizerFromGguf } from "../src/text/tokenizer.ts";
import { mutatedBytes, mutatedJson } from "./mutations.ts";

fc.configureGlobal({ numRuns: Number(process.env.ONEWORD_FUZZ_RUNS ?? 100) });

/** Each reader gets damaged files: it reads them or throws the one kind of error, and never takes more than a moment. */
const fixtures = resolve(import.meta.dirname, "fixtures");
const bytesOf = (name: string): Buffer => readFileSync(join(fixtures, name));
const jsonOf = (name: string): unknown => JSON.parse(bytesOf(name).toString());
const textOf = (bytes: Uint8Array): AsyncIterable<Uint8Array> =>
  (async function* () {
    yield bytes;
  })();

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-fuzz-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function expectOnly(kind: typeof ModelError | typeof InputError, work: () => unknown): Promise<void> {
  const startedAt = performance.now();
  try {
    await work();
  } catch (error) {
    expect(error).toBeInstanceOf(kind);
    expect((error as Error).message.length).toBeLessThan(2000);
  }
  expect(performance.now() - startedAt).toBeLessThan(5000);
}

describe("a damaged shard index gives tensors or a ModelError", () => {
  const index = {
    metadata: { total_size: 8 },
    weight_map: { "a.weight": "one.safetensors", "b.weight": "two.safetensors" },
  };

  test("as JSON", async () => {
    const file = join(folder, "model.safetensors.index.json");
    await fc.assert(
      fc.asyncProperty(mutatedJson(index), async (json) => {
        await writeFile(file, JSON.stringify(json));
        await expectOnly(ModelError, () => readSafetensorsIndex(file));
      }),
    );
  });

  test("as bytes, and no shard is ever outside its folder", async () => {
    await fc.assert(
      fc.asyncProperty(mutatedBytes(Buffer.from(JSON.stringify(index))), async (bytes) => {
        await expectOnly(ModelError, () => {
          for (const shard of parseIndex(bytes, "i").values()) expect(shard).toMatch(/^\w[\w.-]*$/);
        });
      }),
    );
  });
});

describe("a damaged tokenizer gives ids or a ModelError", () => {
  test.each(["smollm", "llama-bpe", "llama", "qwen2"])("%s, tokenizer.json", async (name) => {
    const file = join(folder, "tokenizer.json");
    await fc.assert(
      fc.asyncProperty(mutatedJson(jsonOf(`tokenizers/${name}/tokenizer.json`)), async (json) => {
        await writeFile(file, JSON.stringify(json));
        await expectOnly(ModelError, async () => (await loadTokenizer(file)).encode("A man, 12 数 😀"));
      }),
    );
  });

  test("tokenizer_config.json", async () => {
    const config = join(folder, "tokenizer_config.json");
    await fc.assert(
      fc.asyncProperty(mutatedJson(jsonOf("tokenizers/opt/tokenizer_config.json")), async (json) => {
        await writeFile(config, JSON.stringify(json));
        for (const name of ["tokenizer.json", "vocab.json"]) {
          await expectOnly(ModelError, () => loadTokenizer(join(fixtures, "tokenizers/opt", name), config));
        }
      }),
    );
  });

  test("vocab.json and merges.txt", async () => {
    const vocab = jsonOf("tokenizers/opt/vocab.json");
    await fc.assert(
      fc.asyncProperty(mutatedJson(vocab), mutatedBytes(bytesOf("tokenizers/opt/merges.txt")), async (json, merges) => {
        await writeFile(join(folder, "vocab.json"), JSON.stringify(json));
        await writeFile(join(folder, "merges.txt"), merges);
        await expectOnly(ModelError, async () => (await loadTokenizer(join(folder, "vocab.json"))).encode("A man 😀"));
      }),
    );
  });

  test.each(["gpt2", "llama"])("%s vocabulary of a GGUF file", async (name) => {
    const whole = { ...(jsonOf(`tokenizers/${name}.gguf-metadata.json`) as object), "tokenizer.ggml.pre": "smollm" };
    await fc.assert(
      fc.asyncProperty(mutatedJson(whole), async (json) => {
        await expectOnly(ModelError, () =>
          tokenizerFromGguf((json ?? {}) as Record<string, unknown>, "a.gguf").encode("A man 😀"),
        );
      }),
    );
  });
});

test("a damaged recipe is a recipe with an id, or an InputError", async () => {
  const known = { model: "m", precision: "stored" } as const;
  const whole = completeRecipe({ demonstrations: [{ sentence: "A jockey.", word: "Horse" }], layer: 3 }, known);
  await fc.assert(
    fc.asyncProperty(mutatedJson(whole), async (json) => {
      await expectOnly(InputError, () => {
        const recipe = completeRecipe(readRecipe(json, "r.json"), known);
        expect(recipeId(recipe)).toMatch(/^[0-9a-f]{16}$/);
        promptParts(recipe);
      });
    }),
  );
});

describe("damaged lines are texts or an InputError that names the line", () => {
  const jsonl = Buffer.from('{"text":"one","id":1}\n{"text":"zwei Ä 😀"}\r\n{"text":""}\n\n');
  const drain = async (source: AsyncIterable<unknown>): Promise<void> => {
    for await (const _ of source);
  };

  test("JSONL", async () => {
    await fc.assert(
      fc.asyncProperty(mutatedBytes(jsonl), async (bytes) => {
        await expectOnly(InputError, () =>
          drain(readJsonlField(readTextLines(textOf(bytes), "f"), "f", "text")).catch((error: Error) => {
            expect(error.message).toMatch(/^f:[1-5]: /);
            throw error;
          }),
        );
      }),
    );
  });

  test("plain text", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
        const lines = bytes.filter((byte) => byte === 10).length + 1;
        await expectOnly(InputError, () =>
          drain(readTextLines(textOf(bytes), "f")).catch((error: Error) => {
            expect(Number(/^f:(\d+): not UTF-8/.exec(error.message)?.[1])).toBeLessThanOrEqual(lines);
            throw error;
          }),
        );
      }),
    );
  });
});
