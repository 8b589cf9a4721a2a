import { InputError } from "../errors.ts";
import { isJsonObject, type JsonObject } from "../files/json.ts";
import { cleanUpSteps } from "./clean-up.ts";
import {
  type Demonstration,
  type Precision,
  poolings,
  precisions,
  type Recipe,
  type RecipeOptions,
  type TokenPrepending,
  type Whitening,
} from "./recipe.ts";
import { shown } from "./shown.ts";
import { resolveTemplate } from "./templates.ts";

const hasOnly = (value: JsonObject, keys: readonly string[]): boolean =>
  Object.keys(value).length === keys.length && keys.every((key) => Object.hasOwn(value, key));

const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0;

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);

const isDemonstration = (value: unknown): value is Demonstration =>
  isJsonObject(value) &&
  hasOnly(value, ["sentence", "word"]) &&
  typeof value.sentence === "string" &&
  typeof value.word === "string";

const isTokenPrepending = (value: unknown): value is TokenPrepending =>
  isJsonObject(value) &&
  hasOnly(value, ["fromLayer", "toLayer"]) &&
  isCount(value.fromLayer) &&
  isCount(value.toLayer) &&
  value.fromLayer < value.toLayer;

const isWhitening = (value: unknown): value is Whitening =>
  isJsonObject(value) &&
  hasOnly(value, ["mean", "directions", "scales"]) &&
  typeof value.mean === "string" &&
  typeof value.directions === "string" &&
  Array.isArray(value.scales) &&
  value.scales.every(isNumber);

const isTemplate = (value: unknown): boolean =>
  typeof value === "string" ||
  (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string"));

const isIdentity = (value: unknown): boolean => typeof value === "string" && /^sha256:[0-9a-f]{64}$/.test(value);

/** What each field of a recipe must be, in words and as a check. */
const fields: Record<keyof Recipe, readonly [string, (value: unknown) => boolean]> = {
  model: ["a string", (value) => typeof value === "string"],
  template: ["a string, or a list of them", isTemplate],
  cleanUp: [
    `a list of ${cleanUpSteps.join(", ")}`,
    (value) => Array.isArray(value) && value.every((step) => cleanUpSteps.includes(step)),
  ],
  demonstrations: ['a list of { "sentence", "word" }', (value) => Array.isArray(value) && value.every(isDemonstration)],
  layer: ['a whole number from 0 or "last"', (value) => value === "last" || isCount(value)],
  normalize: ["true or false", (value) => typeof value === "boolean"],
  precision: [`one of ${precisions.join(", ")}`, (value) => precisions.includes(value as Precision)],
  adapter: ["an adapter's identity, sha256:…, or null", (value) => value === null || isIdentity(value)],
  pooling: [`one of ${poolings.join(", ")}`, (value) => poolings.some((pooling) => pooling === value)],
  tokenPrepending: ['{ "fromLayer", "toLayer" }, whole numbers, the first the smaller', isTokenPrepending],
  subtractTemplate: ["a number", isNumber],
  whitening: ['{ "mean", "directions", "scales" } as oneword recipe fit writes it', isWhitening],
};

/**
 * Checks a recipe from outside, whole or in part.
 * @param where  file or option, for error messages
 * @throws InputError "bad-recipe" naming the field, "bad-template" for a template without a slot for the text
 */
export function readRecipe(json: unknown, where: string): RecipeOptions {
  if (!isJsonObject(json)) throw new InputError("bad-recipe", `${where}: a recipe is a JSON object.`);
  for (const [key, value] of Object.entries(json)) {
    if (!Object.hasOwn(fields, key)) {
      throw new InputError(
        "bad-recipe",
        `${where}: "${key}" is no field of a recipe; fields: ${Object.keys(fields).join(", ")}.`,
      );
    }
    const [description, check] = fields[key as keyof Recipe];
    if (value !== undefined && !check(value)) {
      throw new InputError("bad-recipe", `${where}: "${key}" is ${shown(value)}, but must be ${description}.`);
    }
  }
  const recipe = json as RecipeOptions;
  if (recipe.template !== undefined) resolveTemplate(recipe.template, where);
  return recipe;
}
