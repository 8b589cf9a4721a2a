import { InputError } from "../errors.ts";
import { cleanUpSteps } from "./clean-up.ts";
import type { Recipe, RecipeOptions } from "./recipe.ts";
import { readRecipe } from "./recipe-fields.ts";
import { defaultTemplate, placeholder, resolveTemplate } from "./templates.ts";

/**
 * Fills in the paper's defaults. The weights are those of `known`; see `differingModel` for a recipe that names others.
 * @throws InputError as readRecipe does, "bad-template" where Token Prepending and the placeholder do not go together
 */
export function completeRecipe(options: RecipeOptions, known: Pick<Recipe, "model" | "precision">): Recipe {
  const checked = readRecipe(options, "recipe");
  const template = resolveTemplate(checked.template ?? defaultTemplate, "recipe");
  checkPlaceholder(template, checked);
  return {
    template,
    cleanUp: checked.cleanUp ?? cleanUpSteps,
    demonstrations: checked.demonstrations ?? [],
    layer: checked.layer ?? "last",
    normalize: checked.normalize ?? false,
    adapter: checked.adapter ?? null,
    ...(checked.pooling === undefined || checked.pooling === "lastToken" ? {} : { pooling: checked.pooling }),
    ...(checked.tokenPrepending === undefined ? {} : { tokenPrepending: checked.tokenPrepending }),
    ...(checked.subtractTemplate ? { subtractTemplate: checked.subtractTemplate } : {}),
    ...(checked.whitening === undefined ? {} : { whitening: checked.whitening }),
    ...known,
  };
}

function checkPlaceholder(template: string | readonly string[], { tokenPrepending, layer }: RecipeOptions): void {
  for (const one of [template].flat()) {
    if (one.includes(placeholder) === (tokenPrepending !== undefined)) continue;
    const missing = tokenPrepending ? `the template has no ${placeholder}` : "the recipe has no tokenPrepending";
    throw new InputError("bad-template", `${missing}: give both, or none: ${JSON.stringify(one)}.`);
  }
  if (tokenPrepending && typeof layer === "number" && tokenPrepending.toLayer > layer) {
    throw new InputError(
      "bad-recipe",
      `tokenPrepending goes up to layer ${tokenPrepending.toLayer}, but layer ${layer} is read.`,
    );
  }
}

/** The model that a recipe was made for, where it is another one than the loaded. */
export const differingModel = ({ model }: RecipeOptions, loaded: string): string | null =>
  model === undefined || model === loaded ? null : model;
