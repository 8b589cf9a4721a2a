import { describe, expect, test } from "vitest";
import { completeRecipe } from "./complete-recipe.ts";
import { bestRecipe, namedRecipe, namedRecipes, recipeNames } from "./named-recipes.ts";
import { paperDemonstrations } from "./variants/paper-demonstrations.ts";

const known = { model: "facebook/opt-125m@abc", precision: "stored" } as const;

test.each(Object.keys(namedRecipes))("%s is a whole recipe for any model", async (name) => {
  const recipe = await namedRecipe(name, known.model);
  expect(completeRecipe(recipe, known)).toMatchObject({ model: known.model });
});

test("MetaEOL is eight templates", async () => {
  const { template } = completeRecipe(await namedRecipe("metaEol", known.model), known);
  expect(template).toHaveLength(8);
});

describe("the best recipe", () => {
  test.each(Object.keys(paperDemonstrations))("of %s is one demonstration", async (model) => {
    expect((await namedRecipe(bestRecipe, `${model}@abc`)).demonstrations).toHaveLength(1);
  });

  test("of the default model is the searched one, and names its weights", async () => {
    const identity = "smollm2-135m@sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
    const recipe = await namedRecipe(bestRecipe, identity);
    expect(recipe.model).toBe(identity);
    expect(recipe.demonstrations!.length).toBeGreaterThan(0);
    expect(Buffer.from(recipe.whitening!.mean, "base64")).toHaveLength(576 * 4);
  });

  test("of a model that nobody searched is refused with those that are known", async () => {
    await expect(namedRecipe(bestRecipe, "sha256:00")).rejects.toThrow(
      /no best recipe is known for sha256:00, only for smollm2-135m, facebook\/opt-125m.*recipe search/,
    );
  });
});

test("an unknown name is refused with the names", async () => {
  await expect(namedRecipe("toString", "m")).rejects.toThrow(new RegExp(`names: ${recipeNames.join(", ")}`));
});
