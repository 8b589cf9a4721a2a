import { existsSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { writeAtomically } from "../files/atomic.ts";
import { type JsonProblem, readJsonObject } from "../files/json.ts";
import { packagedAdapter } from "../files/known-models.ts";
import type { ModelFiles } from "../files/model-files.ts";
import type { RecipeOptions } from "../text/recipe.ts";
import { readRecipe } from "../text/recipe-fields.ts";

/**
 * Folder of the adapter on a model: the one asked for, or the one that the model's name stands for.
 * @throws InputError "bad-option" for both
 */
export function adapterFolder({ name, source }: ModelFiles, asked: string | undefined): string | null {
  const packaged = source === "path" ? null : packagedAdapter(name);
  if (!packaged) return asked ?? null;
  if (asked === undefined) return packaged.folder;
  const advice = `For another adapter name the model ${packaged.base}.`;
  throw new InputError("bad-option", `the model ${name} is ${packaged.base} with an adapter of its own. ${advice}`);
}

/** Beside an adapter's own files: the recipe it was trained for. */
export const adapterRecipeName = "recipe.json";

/** @returns no fields where the folder, as one of PEFT's, has no recipe */
export async function readAdapterRecipe(folder: string): Promise<RecipeOptions> {
  const file = join(folder, adapterRecipeName);
  if (!existsSync(file)) return {};
  const problem: JsonProblem = (what, cause) => new InputError("bad-recipe", `${file}: ${what}.`, { cause });
  return readRecipe(await readJsonObject(file, problem), file);
}

export const writeAdapterRecipe = (folder: string, recipe: RecipeOptions): Promise<void> =>
  writeAtomically(join(folder, adapterRecipeName), `${JSON.stringify(recipe, null, 2)}\n`);
