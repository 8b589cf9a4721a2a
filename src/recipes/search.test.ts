import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EmbeddingModel } from "../embed/embedding-model.ts";
import { readWhitening } from "../embed/whitening.ts";
import type { RecipeOptions } from "../text/recipe.ts";
import { Journal } from "./journal.ts";
import { labelledPairs, splitHalves, textsOf } from "./labelled.ts";
import { searchReport } from "./report.ts";
import { type SearchOptions, searchRecipe } from "./search.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-search-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** 120 pairs whose likeness is their score: sentence i turns by i degrees from its partner. */
const pairs = Array.from({ length: 120 }, (_, i) => ({ sentence1: `a ${i}`, sentence2: `b ${i}`, score: 120 - i }));
const halves = splitHalves(labelledPairs(pairs));
const demonstrations = Array.from({ length: 12 }, (_, i) => ({ sentence: `example ${i}`, word: `Word${i}` }));

/** How much a recipe's vectors are shaken: layer 3 is good, demonstrations 7 and then 2 help, the others hurt. */
function noiseOf(recipe: RecipeOptions, layer: number): number {
  const words = (recipe.demonstrations ?? []).map(({ word }) => word);
  const gain = words.reduce((sum, word) => sum + ({ Word7: -0.4, Word2: -0.2 }[word] ?? 0.3), 0);
  return Math.max(0.05, 0.8 + gain + 0.5 * Math.abs(layer - 3) + (recipe.template === "pretendedCot" ? 0.4 : 0));
}

/** A number in [-1, 1] that depends on the text alone. */
const shake = (text: string): number =>
  Math.sin(Array.from(text).reduce((sum, c) => sum * 31 + c.charCodeAt(0), 7) % 6283);

/** Embeds on a circle; counts what it runs. */
function fakeModel() {
  const count = { texts: 0 };
  const view = (recipe: RecipeOptions): EmbeddingModel => {
    const model = {
      numLayers: 4,
      recipe: { model: "fake", precision: "stored", ...recipe },
      withRecipe: async (other: RecipeOptions) => view(other),
      embedLayers: async (texts: readonly string[], layers: readonly number[]) => {
        count.texts += texts.length;
        return texts.map((text) =>
          layers.map((layer) => {
            const [side, number] = text.split(" ") as [string, string];
            const angle = (side === "a" ? 0 : Number(number) / 60) + noiseOf(recipe, layer) * shake(text);
            return Float32Array.of(Math.cos(angle), Math.sin(angle));
          }),
        );
      },
      async embed(texts: readonly string[]) {
        const { layer = "last", whitening } = recipe;
        const rows = await model.embedLayers(texts, [layer === "last" ? 4 : layer]);
        const vectors = rows.map(([state]) => state!);
        if (whitening) vectors.forEach(readWhitening(whitening, 2));
        return vectors;
      },
      [Symbol.asyncDispose]: async () => {},
    };
    return model as unknown as EmbeddingModel;
  };
  return { model: view({}), count };
}

const options: SearchOptions = {
  prompts: [{ template: "eol" }, { template: "pretendedCot" }],
  demonstrations,
  depth: 3,
  beam: 1,
  layers: [2, 3, 4],
  firstDirections: null,
  directions: [null],
};

describe("a search", () => {
  test("finds layer, prompt and demonstrations, and leaves out what does not help", async () => {
    const { model } = fakeModel();
    const { best, heldOut, plain, stages, endedEarly } = await searchRecipe(model, halves, await Journal.open(null), {
      ...options,
      directions: [null, 0],
    });
    expect(best.recipe.template).toBe("eol");
    expect(best.recipe.demonstrations!.map(({ word }) => word).sort()).toEqual(["Word2", "Word7"]);
    expect(best.setting.layer).toBe(3);
    expect(best.score).toBeGreaterThan(plain + 10);
    expect(heldOut.best).toBeGreaterThan(heldOut.plain + 10);
    expect(stages.map(({ stage }) => stage)).toContain("2 demonstrations");
    expect(endedEarly).toBe(false);
  });

  test("that is run again measures nothing, and one that was cut goes on where it was", async () => {
    const file = join(folder, "journal.jsonl");
    const first = fakeModel();
    const result = await searchRecipe(first.model, halves, await Journal.open(file), options);
    const again = fakeModel();
    expect(await searchRecipe(again.model, halves, await Journal.open(file), options)).toEqual(result);
    expect(again.count.texts).toBe(0);

    const lines = (await readFile(file, "utf8")).split("\n");
    const cut = `${lines.slice(0, 10).join("\n")}\n${lines[10]!.slice(0, 20)}`; // a line half written
    const { writeFile } = await import("node:fs/promises");
    await writeFile(file, cut);
    const resumed = fakeModel();
    const { best } = await searchRecipe(resumed.model, halves, await Journal.open(file), options);
    expect(best).toEqual(result.best);
    expect(resumed.count.texts).toBeGreaterThan(0);
    expect(resumed.count.texts).toBeLessThan(first.count.texts);
  });

  test("over other labels measures anew", async () => {
    const file = join(folder, "labels.jsonl");
    const first = fakeModel();
    await searchRecipe(first.model, halves, await Journal.open(file), options);
    const again = fakeModel();
    const relabelled = {
      ...halves,
      search: { ...halves.search, labels: halves.search.labels.map((label) => 5 - label) },
    };
    await searchRecipe(again.model, relabelled, await Journal.open(file), options);
    expect(again.count.texts).toBeGreaterThan(0);
  });

  test("whose time is up gives the best so far", async () => {
    const { model, count } = fakeModel();
    const over = { ...options, deadline: performance.now() - 1 };
    const { best, endedEarly, plain } = await searchRecipe(model, halves, await Journal.open(null), over);
    expect([best.score, endedEarly]).toEqual([plain, true]);
    expect(count.texts).toBeLessThanOrEqual(2 * 240);
  });

  test("keeps the model's adapter, and measures anew for another one", async () => {
    const file = join(folder, "adapters.jsonl");
    const { model, count } = fakeModel();
    await searchRecipe(model, halves, await Journal.open(file), options);
    const before = count.texts;
    const adapter = `sha256:${"1".repeat(64)}`;
    const adapted = await model.withRecipe({ adapter });
    const { recipe } = await searchRecipe(adapted, halves, await Journal.open(file), options);
    expect(recipe.adapter).toBe(adapter);
    expect(count.texts).toBe(2 * before);
  });

  test("on few texts reports the score of the recipe that it gives", async () => {
    const { model } = fakeModel();
    const few = splitHalves(labelledPairs(pairs.slice(0, 20)));
    const directions = { ...options, directions: [0, 16], firstDirections: 16 };
    const { recipe, heldOut } = await searchRecipe(model, few, await Journal.open(null), directions);
    await using view = await model.withRecipe(recipe);
    const texts = textsOf(few.heldOut, few.heldOut.order);
    const rows = await view.embed(texts);
    expect(few.heldOut.score(few.heldOut.order, (text) => rows[texts.indexOf(text)]!)).toBe(heldOut.best);
  });

  test("that is aborted stops", async () => {
    const { model } = fakeModel();
    const aborted = { ...options, embed: { signal: AbortSignal.abort() } };
    await expect(searchRecipe(model, halves, await Journal.open(null), aborted)).rejects.toThrow(/abort/i);
  });

  test("has a report that says what was found, and is safe with any text", async () => {
    const { model } = fakeModel();
    const result = await searchRecipe(model, halves, await Journal.open(null), options);
    const curve = [
      { seconds: 0, texts: 0, score: 40 },
      { seconds: 90, texts: 100, score: result.best.score },
    ];
    const page = searchReport({
      model: "<script>",
      data: "STS-B dev",
      kind: "pairs",
      items: { search: 60, heldOut: 60 },
      candidates: 12,
      curve,
      result,
      recipeId: "0123456789abcdef",
    });
    expect(page).not.toContain("<script>");
    for (const text of [
      "example 7",
      result.best.score.toFixed(2),
      result.heldOut.best.toFixed(2),
      "0123456789abcdef",
    ]) {
      expect(page).toContain(text);
    }
    expect(page).toMatch(/<path d="M[\d.]+ [\d.]+H[\d.]+V[\d.]+"/);
  });
});
