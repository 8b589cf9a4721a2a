import { expect, test } from "vitest";
import type { EmbeddingModel } from "../embed/embedding-model.ts";
import type { RecipeOptions } from "../text/recipe.ts";
import { fitRecipe } from "./fit-recipe.ts";

/** The vector of a text is its two numbers; notes the texts it was asked for. */
function fakeModel(asked: string[]): EmbeddingModel {
  const model = {
    numLayers: 4,
    recipe: { model: "fake", precision: "stored", adapter: null },
    withRecipe: async (_: RecipeOptions) => model,
    embedLayers: async (texts: readonly string[]) => {
      asked.push(...texts);
      return texts.map((text) => [Float32Array.from(text.split(" "), Number)]);
    },
    [Symbol.asyncDispose]: async () => {},
  };
  return model as unknown as EmbeddingModel;
}

const texts = Array.from({ length: 8 }, (_, i) => `${i} ${(i * i) % 5}`);
const fitted = (some: readonly string[], asked: string[] = []) =>
  fitRecipe(fakeModel(asked), { recipe: {}, setting: { layer: 3, directions: 64 } }, some);

test("a recipe is fitted on distinct texts, however often each is there", async () => {
  const asked: string[] = [];
  const repeated = texts.flatMap((text, i) => new Array<string>(1 + 500 * i).fill(text));
  expect((await fitted(repeated, asked)).whitening).toEqual((await fitted(texts)).whitening);
  expect(asked).toEqual(texts);
});

test("one text over and over has a mean and no direction", async () => {
  expect((await fitted(new Array<string>(100).fill("3 4"))).whitening).toMatchObject({ directions: "", scales: [] });
});

test("a whitening that the prompt's recipe has, fitted for other states, does not come along", async () => {
  const own = (await fitted(texts)).whitening!;
  const setting = { layer: 3, directions: null };
  expect((await fitRecipe(fakeModel([]), { recipe: { whitening: own }, setting }, texts)).whitening).toBeUndefined();
});
