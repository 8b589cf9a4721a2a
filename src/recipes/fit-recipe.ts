import type { EmbeddingModel, EmbedOptions } from "../embed/embedding-model.ts";
import { completeRecipe } from "../text/complete-recipe.ts";
import type { Recipe, RecipeOptions } from "../text/recipe.ts";
import { fitWhitening, maxFittedVectors, mostDirections } from "./fit-whitening.ts";
import type { Setting } from "./scorer.ts";

/**
 * A whole recipe from a prompt and a setting, with the model's adapter: its mean and directions fitted on unlabelled texts, fewer
 * directions where the texts are few.
 */
export async function fitRecipe(
  model: EmbeddingModel,
  { recipe, setting }: { readonly recipe: RecipeOptions; readonly setting: Setting },
  texts: readonly string[],
  embed: EmbedOptions = {},
): Promise<Recipe> {
  const { model: identity, precision, adapter } = model.recipe;
  const layer = setting.layer === model.numLayers ? "last" : setting.layer;
  const { whitening: _, ...prompt } = recipe; // one that comes along was fitted for other states
  const whole = completeRecipe({ ...prompt, layer, adapter }, { model: identity, precision });
  if (setting.directions === null) return whole;
  await using view = await model.withRecipe(whole);
  const some = spread([...new Set(texts)], maxFittedVectors);
  const rows = await view.embedLayers(some, [setting.layer], { truncate: true, ...embed });
  const vectors = rows.map(([state]) => state!);
  const directions = Math.min(setting.directions, mostDirections(vectors.length));
  return { ...whole, whitening: fitWhitening(vectors, directions) };
}

/** At most `count` of the texts, from all over. */
const spread = (texts: readonly string[], count: number): string[] =>
  texts.length <= count
    ? [...texts]
    : Array.from({ length: count }, (_, i) => texts[Math.floor((i * texts.length) / count)]!);
