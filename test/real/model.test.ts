import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cosineSimilarity, type EmbeddingModel, load } from "../../src/index.ts";

/** Prompts, ids and vectors of the default model by transformers on PyTorch, float32. */
const golden = resolve(
  process.env.ONEWORD_GOLDEN ?? resolve(import.meta.dirname, "../../../shared/golden"),
  "smollm2-135m.json",
);
const demonstrations = [{ sentence: "A jockey riding a horse.", word: "Equestrian" }];

interface Case {
  readonly text: string;
  readonly template: string;
  readonly ids: number[];
  readonly lastToken: number[];
}

const cases: Case[] = existsSync(golden) ? JSON.parse(readFileSync(golden, "utf8")).cases : [];

describe.each(["stored", "float32"] as const)("the default model, %s weights", (precision) => {
  let model: EmbeddingModel;
  beforeAll(async () => {
    model = await load("smollm2-135m", { precision });
  }, 300_000);
  afterAll(() => model.close());

  test.skipIf(cases.length === 0)(
    "vectors of texts equal the reference (cosine 0.9999), with and without demonstration",
    async () => {
      for (const template of ["eol", "eol+demonstration"]) {
        const some = cases.filter((golden) => golden.template === template);
        const recipe = template === "eol" ? {} : { demonstrations };
        const own = await load("smollm2-135m", { precision, recipe });
        const vectors = await own.embed(some.map(({ text }) => text));
        await own.close();
        some.forEach(({ lastToken }, i) => {
          expect(cosineSimilarity(vectors[i]!, Float32Array.from(lastToken))).toBeGreaterThan(0.9999);
        });
      }
    },
  );

  test.skipIf(cases.length === 0)("vectors of ready ids equal the reference (cosine 0.9999)", async () => {
    const vectors = await model.embedTokens(cases.map(({ ids }) => ids));
    cases.forEach(({ lastToken }, i) => {
      expect(cosineSimilarity(vectors[i]!, Float32Array.from(lastToken))).toBeGreaterThan(0.9999);
    });
  });

  test("a text's vector does not depend on the rest of its batch (cosine 0.999999)", async () => {
    const long = Array.from(
      { length: 63 },
      (_, i) => `${"The quick brown fox jumps over the lazy dog. ".repeat(1 + (i % 4))}${i}`,
    );
    const text = "A jockey riding a horse.";
    const [alone] = await model.embed([text]);
    const batch = await model.embed([text, ...long]);
    const reversed = await model.embed([...long.toReversed(), text]);
    expect(cosineSimilarity(alone!, batch[0]!)).toBeGreaterThan(0.999999);
    expect(cosineSimilarity(alone!, reversed.at(-1)!)).toBeGreaterThan(0.999999);
  });

  test("a text whose first mark merges with the template's quote gets the vector of its whole prompt", async () => {
    const marked = "...and then it rained";
    const [vector] = await model.embed([marked]);
    const again = await model.embed([marked, "A man is playing a guitar"]);
    expect(cosineSimilarity(vector!, again[0]!)).toBeGreaterThan(0.999999);
  });

  test("a stream gives the same vectors in input order", async () => {
    const texts = ["one", "a longer second text that is here", "one", ""];
    const rows = await model.embed(texts);
    let index = 0;
    for await (const result of model.embedStream(texts)) {
      expect(result.index).toBe(index);
      expect(cosineSimilarity(result.embedding, rows[index]!)).toBeGreaterThan(0.999999);
      index++;
    }
    expect(index).toBe(texts.length);
  });
});

test.skipIf(cases.length === 0)("float16 gives the reference's vectors too (cosine 0.999)", async () => {
  const model = await load("smollm2-135m", { precision: "float16" });
  const vectors = await model.embedTokens(cases.map(({ ids }) => ids));
  await model.close();
  cases.forEach(({ lastToken }, i) => {
    expect(cosineSimilarity(vectors[i]!, Float32Array.from(lastToken))).toBeGreaterThan(0.999);
  });
});

test("an over-long text is refused with its number and its tokens, and shortened on demand", async () => {
  const model = await load("smollm2-135m");
  const long = "word ".repeat(9000);
  await expect(model.embed(["short", long])).rejects.toThrow(
    /input\[1\]: \d+ tokens, \d+ fit \(8192 less the template's \d+\)/,
  );
  await model.close();
});

test("an aborted signal stops with the code aborted", async () => {
  const model = await load("smollm2-135m");
  await expect(model.embed(["text"], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
  await model.close();
  await expect(model.embed(["text"])).rejects.toMatchObject({ code: "closed" });
});
