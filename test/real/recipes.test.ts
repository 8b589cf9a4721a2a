import { afterAll, beforeAll, expect, test } from "vitest";
import { cosineSimilarity, type EmbeddingModel, load } from "../../src/index.ts";
import { namedRecipe, recipeNames } from "../../src/text/named-recipes.ts";

let model: EmbeddingModel;
beforeAll(async () => {
  model = await load("smollm2-135m", { precision: "float32" });
}, 300_000);
afterAll(() => model.close());

const text = "A jockey riding a horse.";
const others = ["A man plays a guitar in the street while it rains.", "...and then", "Stocks fell.", "?"];
const worst = (a: Float32Array, b: ArrayLike<number>): number =>
  a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0);

test.each(recipeNames)("%s gives a text the same vector alone and among others (cosine 0.99999)", async (name) => {
  await using view = await model.withRecipe(await namedRecipe(name, model.recipe.model));
  const [alone] = await view.embed([text]);
  const many = await view.embed([...others, text, "a"]);
  expect(cosineSimilarity(alone!, many[others.length]!)).toBeGreaterThan(0.99999);
});

test("several templates give the mean of what each gives", async () => {
  const template = ["{text} is", 'This sentence : "{text}" means in one word:"'];
  await using both = await model.withRecipe({ template });
  const [mean] = await both.embed([text]);
  const single = await Promise.all(
    template.map(async (one) => {
      await using view = await model.withRecipe({ template: one });
      return (await view.embed([text]))[0]!;
    }),
  );
  expect(
    worst(
      mean!,
      single[0]!.map((value, i) => (value + single[1]![i]!) / 2),
    ),
  ).toBeLessThan(1e-3);
});

test("the template's own vector is taken away by its weight", async () => {
  await using view = await model.withRecipe({ subtractTemplate: 0.5 });
  const [less] = await view.embed([text, others[0]!]);
  const [plain, own] = await model.embed([text, ""]);
  expect(
    worst(
      less!,
      plain!.map((value, i) => value - 0.5 * own![i]!),
    ),
  ).toBeLessThan(1e-3);
});

test("several layers of one pass are what each layer gives", async () => {
  const [states] = await model.embedLayers([text], [20, 29, 30]);
  for (const [i, layer] of [20, 29, 30].entries()) {
    await using view = await model.withRecipe({ layer });
    const [vector] = await view.embed([text]);
    expect(cosineSimilarity(vector!, states![i]!)).toBeGreaterThan(0.99999);
  }
});

test("explain gives probable words, the first the most probable, whatever the recipe's layer", async () => {
  await using view = await model.withRecipe({ layer: 12, subtractTemplate: 1 });
  const [words] = await view.explain([text], { count: 5 });
  expect(words).toEqual((await model.explain([text], { count: 5 }))[0]);
  expect(words).toHaveLength(5);
  expect(words!.map(({ probability }) => probability)).toEqual(
    words!.map(({ probability }) => probability).sort((a, b) => b - a),
  );
  expect(words!.map((word) => word.text.trim())).toContain("horse");
});

test("a recipe of another model is used, with a warning", async () => {
  const warnings: string[] = [];
  const recipe = { model: "sha256:other", normalize: true };
  const other = await load("smollm2-135m", { recipe, onWarning: (message) => warnings.push(message) });
  expect(other.recipe.model).toMatch(/^smollm2-135m@/);
  expect(warnings).toEqual([expect.stringMatching(/^the recipe is for sha256:other, but the model is smollm2-135m@/)]);
  await other.close();
});
