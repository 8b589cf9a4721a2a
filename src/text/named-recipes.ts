import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { InputError } from "../errors.ts";
import type { RecipeOptions } from "./recipe.ts";
import { readRecipe } from "./recipe-fields.ts";
import { templates } from "./templates.ts";
import { echo } from "./variants/echo.ts";
import { paperDemonstrations } from "./variants/paper-demonstrations.ts";
import { subtractTemplate } from "./variants/subtract-template.ts";
import { tokenPrepending } from "./variants/token-prepending.ts";
import { weightedMean } from "./variants/weighted-mean.ts";

const ofTemplates = Object.fromEntries(Object.keys(templates).map((template) => [template, { template }]));

/** Recipes for any model, by name. */
export const namedRecipes: Readonly<Record<string, RecipeOptions>> = {
  ...ofTemplates,
  echo,
  weightedMean,
  tokenPrepending,
  subtractTemplate,
};

/** The recipe that is known to do best for the loaded model. */
export const bestRecipe = "best";

/** Searched recipes, by what stands before `@` in a model's identity; as far from src/text as from dist/text. */
const searched: Readonly<Record<string, string>> = { "smollm2-135m": "../../data/recipes/smollm2-135m.json" };

export const recipeNames: readonly string[] = [bestRecipe, ...Object.keys(namedRecipes)];

/**
 * A recipe by its name. `best` is what a search found for the model: for the default model ours, for OPT the paper's
 * demonstration.
 * @param identity  of the model's weights, see ModelFiles.identity
 * @throws InputError "bad-recipe" for an unknown name, and for `best` where no recipe is known for the model
 */
export async function namedRecipe(name: string, identity: string): Promise<RecipeOptions> {
  if (Object.hasOwn(namedRecipes, name)) return namedRecipes[name]!;
  if (name !== bestRecipe) {
    throw new InputError(
      "bad-recipe",
      `no recipe is called ${JSON.stringify(name)}; names: ${recipeNames.join(", ")}.`,
    );
  }
  const [model = ""] = identity.split("@");
  if (Object.hasOwn(searched, model)) {
    const file = fileURLToPath(new URL(searched[model]!, import.meta.url));
    return readRecipe(JSON.parse(await readFile(file, "utf8")), file);
  }
  if (Object.hasOwn(paperDemonstrations, model)) return { demonstrations: [paperDemonstrations[model]!] };
  const known = [...Object.keys(searched), ...Object.keys(paperDemonstrations)].join(", ");
  throw new InputError(
    "bad-recipe",
    `no best recipe is known for ${identity}, only for ${known}. Find one with oneword recipe search.`,
  );
}
