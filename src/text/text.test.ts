import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planBatches, uniqueIndex } from "./batch.ts";
import { cleanUp, cleanUpSteps } from "./clean-up.ts";
import { encodePrompt, sharedPrefix, startsWith } from "./prompt.ts";
import { completeRecipe, promptParts, readRecipe, recipeId } from "./recipe.ts";
import { tokenizerFromGguf } from "./tokenizer.ts";

const known = { model: "m", precision: "stored" } as const;
const clean = (text: string): string => cleanUp(text, cleanUpSteps);

/** A byte-level vocabulary of the printable ASCII characters and two merges: enough to see boundaries. */
function tinyTokenizer(extra: Record<string, unknown> = {}) {
  const characters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const tokens = [...characters, "Ġ", "Ċ", 'Ġ"', "Ġa"];
  return tokenizerFromGguf(
    {
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "smollm",
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.merges": ['Ġ "', "Ġ a"],
      ...extra,
    },
    "tiny",
  );
}

describe("clean-up", () => {
  test.each([
    ["  A dog  ", "A dog."],
    ["Is it raining?", "Is it raining."],
    ['He said "hello" to me', "He said 'hello' to me."],
    ['He said "hello"', "He said 'hello'"],
    ["It ends.", "It ends."],
    ["it's '", "it's '"],
    ["", "."],
  ])("%j becomes %j", (text, expected) => {
    expect(clean(text)).toBe(expected);
  });

  test("half a surrogate pair becomes U+FFFD", () => {
    expect(clean("a\ud83d")).toBe("a\ufffd.");
  });
});

describe("a recipe", () => {
  test("shows demonstrations as the paper does, without a blank between", () => {
    const recipe = completeRecipe(
      { demonstrations: [{ sentence: "A jockey riding a horse", word: "Equestrian" }] },
      known,
    );
    const { prefix, suffix } = promptParts(recipe);
    expect(`${prefix}x.${suffix}`).toBe(
      'This sentence : "A jockey riding a horse." means in one word:"Equestrian".This sentence : "x." means in one word:"',
    );
  });

  test("has an id that every field changes and key order does not", () => {
    const recipe = completeRecipe({}, known);
    const changed = [
      { ...recipe, model: "other" },
      { ...recipe, template: "{text}" },
      { ...recipe, cleanUp: [] },
      { ...recipe, demonstrations: [{ sentence: "a", word: "b" }] },
      { ...recipe, layer: 3 },
      { ...recipe, normalize: true },
      { ...recipe, precision: "float32" as const },
      { ...recipe, adapter: "a" },
    ];
    expect(new Set([recipe, ...changed].map(recipeId)).size).toBe(9);
    const reordered = Object.fromEntries(Object.entries(recipe).reverse()) as unknown as typeof recipe;
    expect(recipeId(reordered)).toBe(recipeId(recipe));
  });

  test.each(["no slot", "{text} and {text}"])("refuses the template %j", (template) => {
    expect(() => readRecipe({ template }, "r.json")).toThrow(/r.json: .*slot/);
  });

  test("refuses unknown fields and lists the known ones", () => {
    expect(() => readRecipe({ tempalte: "{text}" }, "r.json")).toThrow(/"tempalte".*template/);
  });
});

describe("a prompt", () => {
  const tokenizer = tinyTokenizer();
  const parts = promptParts(completeRecipe({}, known));
  const last = tokenizer.encode(parts.suffix).at(-1);

  test("that is too long names the text and what fits", () => {
    const options = { maxTokens: 60, truncate: false, index: 7 };
    expect(() => encodePrompt(tokenizer, parts, "word ".repeat(50), options)).toThrow(
      /^input\[7\]: \d+ tokens, \d+ fit \(60 less/,
    );
  });

  test("that is shortened keeps the template's last token, whatever the sentence", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), fc.integer({ min: 60, max: 90 }), (sentence, maxTokens) => {
        const printable = sentence.replace(/[^ -~]/g, "");
        const { ids } = encodePrompt(tokenizer, parts, printable, { maxTokens, truncate: true, index: 0 });
        expect(ids.length).toBeLessThanOrEqual(maxTokens);
        expect(ids.at(-1)).toBe(last);
      }),
    );
  });

  test("begins with the shared prefix when it begins with a letter", () => {
    const prefix = sharedPrefix(tokenizer, parts);
    expect(prefix.length).toBeGreaterThan(0);
    expect(startsWith(tokenizer.encode(`${parts.prefix}zebra.${parts.suffix}`), prefix)).toBe(true);
  });
});

describe("a GGUF vocabulary", () => {
  test("puts its first token in front where it says so", () => {
    const tokenizer = tinyTokenizer({ "tokenizer.ggml.add_bos_token": true, "tokenizer.ggml.bos_token_id": 5 });
    expect(tokenizer.bosIds).toEqual([5]);
    expect(tokenizer.encode("a")[0]).toBe(5);
  });

  test("of an unknown pre-tokenizer is refused with the known ones, never guessed", () => {
    expect(() => tinyTokenizer({ "tokenizer.ggml.pre": "novel" })).toThrow(/"novel"; known: .*smollm/);
  });
});

describe("batches", () => {
  test("hold every index once and keep the budget, padding of the attention grid included", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 300 })),
        fc.integer({ min: 1, max: 500 }),
        (lengths, maxBatchTokens) => {
          const batches = planBatches(lengths, { maxBatchTokens });
          expect(batches.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
          for (const batch of batches) {
            const longest = Math.max(...batch.map((i) => lengths[i]!));
            if (batch.length > 1) expect(longest * batch.length).toBeLessThanOrEqual(maxBatchTokens);
          }
        },
      ),
    );
  });

  test("equal keys are one", () => {
    expect(uniqueIndex(["a", "b", "a"])).toEqual({ unique: [0, 1], of: [0, 1, 0] });
  });
});
