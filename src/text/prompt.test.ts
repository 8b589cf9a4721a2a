import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { cleanUp, cleanUpSteps } from "./clean-up.ts";
import { completeRecipe } from "./complete-recipe.ts";
import { encodePrompt, sentenceSpan, sharedPrefix, startsWith } from "./prompt.ts";
import { fillParts, type PromptParts, promptParts } from "./prompt-parts.ts";
import type { RecipeOptions } from "./recipe.ts";
import { templates } from "./templates.ts";
import { loadTokenizer, type Tokenizer } from "./tokenizer.ts";

const fixtures = new URL("../../test/fixtures/tokenizers/", import.meta.url).pathname;
const tokenizers: [string, Tokenizer][] = [
  ["smollm", await loadTokenizer(`${fixtures}smollm/tokenizer.json`)],
  ["llama-bpe", await loadTokenizer(`${fixtures}llama-bpe/tokenizer.json`)],
  ["llama", await loadTokenizer(`${fixtures}llama/tokenizer.json`)],
  ["opt", await loadTokenizer(`${fixtures}opt/tokenizer.json`, `${fixtures}opt/tokenizer_config.json`)],
];

const known = { model: "m", precision: "float32" } as const;
const jockey = { sentence: "A jockey riding a horse.", word: "Equestrian" };
const partsOf = (recipe: RecipeOptions): PromptParts[] => promptParts(completeRecipe(recipe, known));
const plain = partsOf({})[0]!;
const recipes: PromptParts[] = [
  plain,
  ...partsOf({ demonstrations: [jockey] }),
  ...[
    "{text}",
    "{text} .",
    'Text:\n{text}"',
    "Text: {text}\n",
    "Text:\r\n {text}",
    "Text:  {text}",
    "词:{text}",
    "a{text}",
    "Document:{text}\nDocument again:{text}",
    '"{text}" or "{text}"',
  ].flatMap((template) => partsOf({ template })),
  ...Object.keys(templates).flatMap((template) => partsOf({ template })),
];

const sentence = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: fc.constantFrom(..." \n\r\t\"'()s.:0é数😀\u0301\u200d\ud83d\u0085\ufeff|<>") }),
);
const options = { maxTokens: 1e9, truncate: false, index: 0 };

describe.each(tokenizers)("prompts of %s", (_, tokenizer) => {
  test("have exactly the ids of their whole text", () => {
    fc.assert(
      fc.property(sentence, fc.constantFrom(...recipes), (text, parts) => {
        fc.pre(tokenizer.bosIds.length > 0 || fillParts(parts, text) !== "");
        const encoded = encodePrompt(tokenizer, parts, text, options);
        const whole = tokenizer.encode(fillParts(parts, cleanUp(text, [])));
        expect(encoded).toMatchObject({ ids: whole, truncatedTokens: 0 });
      }),
    );
  });

  test("begin with the shared prefix, whatever the sentence", () => {
    const shared = new Map(recipes.map((parts) => [parts, sharedPrefix(tokenizer, parts)]));
    fc.assert(
      fc.property(sentence, fc.constantFrom(...recipes), (text, parts) => {
        fc.pre(tokenizer.bosIds.length > 0 || fillParts(parts, text) !== "");
        const { ids } = encodePrompt(tokenizer, parts, text, options);
        const prefix = shared.get(parts)!;
        if (ids.length === prefix.length) expect(ids).toEqual(prefix);
        else expect(startsWith(ids, prefix)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test("share all but the word that the sentence may join", () => {
    for (const parts of recipes.slice(0, 2)) {
      expect(sharedPrefix(tokenizer, parts)).toEqual(tokenizer.encode(parts.prefix.slice(0, -' "'.length)));
    }
  });

  test("that are too long are cut inside the sentence, as late as they fit, to the ids of the shorter prompt", () => {
    const codePoints = fc.array(fc.constantFrom(..."aword 😀数é.\n"), { minLength: 30, maxLength: 150 });
    fc.assert(
      fc.property(codePoints, fc.nat({ max: 40 }), (points, room) => {
        const encode = (text: string): number[] => tokenizer.encode(plain.prefix + text + plain.suffix);
        const maxTokens = encode("").length + room;
        const whole = encode(points.join(""));
        const { ids, truncatedTokens } = encodePrompt(tokenizer, plain, points.join(""), {
          maxTokens,
          truncate: true,
          index: 0,
        });
        expect(ids.length).toBeLessThanOrEqual(maxTokens);
        expect(truncatedTokens).toBe(whole.length - ids.length);
        if (whole.length <= maxTokens) {
          expect(ids).toEqual(whole);
          return;
        }
        const start = (kept: number): number[] => encode(points.slice(0, kept).join(""));
        const kept = points.findIndex((_, i) => start(i).join() === ids.join());
        expect(start(kept)).toEqual(ids);
        expect(start(kept + 1).length).toBeGreaterThan(maxTokens);
        expect(ids.at(-1)).toBe(whole.at(-1));
      }),
      { numRuns: 15 },
    );
  });

  test("of an empty text are the template around nothing", () => {
    const { ids } = encodePrompt(tokenizer, plain, cleanUp(" \n ", cleanUpSteps), options);
    expect(ids).toEqual(tokenizer.encode(plain.prefix + plain.suffix));
  });

  test("have U+FFFD for half a surrogate pair", () => {
    expect(encodePrompt(tokenizer, plain, "a\ud83d", options)).toEqual(
      encodePrompt(tokenizer, plain, "a\ufffd", options),
    );
  });
});

describe("a text that is too long", () => {
  const tokenizer = tokenizers[0]![1];
  const template = tokenizer.encode(plain.prefix + plain.suffix).length;
  const refusal = (maxTokens: number, truncate: boolean): InputError => {
    try {
      encodePrompt(tokenizer, plain, "9".repeat(611), { maxTokens, truncate, index: 7 });
    } catch (error) {
      if (error instanceof InputError) return error;
    }
    throw new Error("was not refused");
  };

  test("is refused with its number, its tokens and those that fit", () => {
    const error = refusal(template + 498, false);
    expect(error.code).toBe("too-long");
    expect(error.message).toBe(
      `input[7]: 611 tokens, 498 fit (${template + 498} less the template's ${template}). Shorten it or set truncate.`,
    );
  });

  test("is refused with truncate too where the template alone does not fit", () => {
    for (const truncate of [false, true])
      expect(refusal(template - 1, truncate).message).toMatch(/fewer demonstrations/);
  });
});

const golden = `${process.env.ONEWORD_GOLDEN ?? new URL("../../../shared/golden", import.meta.url).pathname}/smollm2-135m.json`;

describe.skipIf(!existsSync(golden))(`prompts of ${golden} (skipped where it is missing)`, () => {
  interface Case {
    readonly text: string;
    readonly template: string;
    readonly prompt: string;
  }
  const cases = existsSync(golden) ? (JSON.parse(readFileSync(golden, "utf8")).cases as Case[]) : [];
  test.each(cases.map((one) => [one.template, one.text, one.prompt]))("%s: %j", (template, text, prompt) => {
    const demonstrations = template === "eol+demonstration" ? [jockey] : [];
    const recipe = completeRecipe({ demonstrations }, known);
    const [parts] = promptParts(recipe);
    expect(fillParts(parts!, cleanUp(text, recipe.cleanUp))).toBe(prompt);
  });
});

test("an empty text in a template without words is refused where the model adds no token of its own either", () => {
  const [bare] = partsOf({ template: "{text}" }) as [PromptParts];
  const [[, smollm], , [, llama]] = tokenizers as [[string, Tokenizer], [string, Tokenizer], [string, Tokenizer]];
  const options = { maxTokens: 100, truncate: false, index: 3 };
  expect(() => encodePrompt(smollm, bare, "", options)).toThrow(/^input\[3\]: no token: the text is empty/);
  expect(encodePrompt(llama, bare, "", options).ids).toEqual(llama.bosIds);
});

describe.each(tokenizers)("the sentence's tokens in a prompt of %s", (_, tokenizer) => {
  const spanOf = (parts: PromptParts, text: string): string => {
    const prompt = encodePrompt(tokenizer, parts, text, options);
    return tokenizer.decode(prompt.ids.slice(...sentenceSpan(tokenizer, parts, prompt))).trim();
  };

  test.each(['This sentence : "{text}" means in one word:"', "Document:{text}\nDocument again:{text}", "{text}"])(
    "in %j hold the sentence and no word of the template",
    (template) => {
      const [parts] = partsOf({ template, demonstrations: [jockey] }) as [PromptParts];
      for (const text of ["A man rides.", "means", "Document again", "naïve 😀"]) {
        expect(spanOf(parts, text).replaceAll(/[:"]/g, "").trim()).toBe(text);
      }
    },
  );

  test("are those of the second copy where both had to be shortened", () => {
    const [parts] = partsOf({ template: "Document:{text}\nDocument again:{text}" }) as [PromptParts];
    const text = "one two three four five six seven eight nine ten eleven twelve thirteen";
    const prompt = encodePrompt(tokenizer, parts, text, { maxTokens: 24, truncate: true, index: 0 });
    expect(prompt.truncatedTokens).toBeGreaterThan(0);
    const [start, end] = sentenceSpan(tokenizer, parts, prompt);
    const read = tokenizer.decode(prompt.ids.slice(start, end)).trim();
    expect(text.startsWith(read)).toBe(true);
    expect([read, end]).toEqual([prompt.sentence.trim(), prompt.ids.length]);
  });

  test("are the last token where there is no sentence", () => {
    const prompt = encodePrompt(tokenizer, plain, "", options);
    expect(sentenceSpan(tokenizer, plain, prompt)).toEqual([prompt.ids.length - 1, prompt.ids.length]);
  });
});

describe.each(tokenizers)("a prompt with a placeholder, of %s", (_, tokenizer) => {
  const recipe = { template: 'This sentence : {placeholder} "{text}" means in one word:"' };
  const tokenPrepending = { fromLayer: 1, toLayer: 7 };
  const [parts] = partsOf({ ...recipe, tokenPrepending, demonstrations: [jockey] }) as [PromptParts];
  const prompt = encodePrompt(tokenizer, parts, "A man rides.", options);

  test("has one token for it, between the words of the template", () => {
    const place = prompt.placeholder!;
    const front = 'This sentence : "A jockey riding a horse." means in one word:"Equestrian".This sentence :';
    expect(prompt.ids.slice(0, place)).toEqual(tokenizer.encode(front));
    const rest = tokenizer.encode(' "A man rides." means in one word:"').slice(tokenizer.bosIds.length);
    expect(prompt.ids.slice(place + 1)).toEqual(rest);
  });

  test("shares with every other what stands before the placeholder", () => {
    expect(sharedPrefix(tokenizer, parts)).toEqual(prompt.ids.slice(0, prompt.placeholder));
  });

  test("has its sentence behind it", () => {
    const [start, end] = sentenceSpan(tokenizer, parts, prompt);
    expect(start).toBeGreaterThan(prompt.placeholder!);
    expect(tokenizer.decode(prompt.ids.slice(start, end))).toContain("A man rides");
  });
});
