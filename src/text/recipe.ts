import { createHash } from "node:crypto";
import { InputError } from "../errors.ts";
import { cleanUp, cleanUpSteps } from "./clean-up.ts";

/** One in-context example: a sentence and the word that stands for it (PromptEOL, arXiv 2307.16645, section 3). */
export interface Demonstration {
  readonly sentence: string;
  readonly word: string;
}

/** The paper's clean-up, each step by name; they run in the order given. */
export type CleanUpStep = "trim" | "fullStop" | "singleQuotes" | "questionToFullStop";

/**
 * How the weights are held and multiplied. `stored`: as the file holds them, quantised blocks included; `float32`:
 * everything widened; `float16`: weights and activations, with norms and softmax in float32; `int8`: 8-bit weights and activations; `int4`: 4-bit blocks of 32 with 8-bit activations; `nf4`:
 * 4-bit NormalFloat blocks of 64 with float32 activations (QLoRA, arXiv 2305.14314).
 */
export const precisions = ["stored", "float32", "float16", "int8", "int4", "nf4"] as const;
export type Precision = (typeof precisions)[number];

/** Everything that makes a vector reproducible; plain JSON. Two equal recipes give equal vectors. */
export interface Recipe {
  /** Identity of the weights, see ModelFiles.identity. */
  readonly model: string;
  /** Exactly one `{text}` slot. */
  readonly template: string;
  readonly cleanUp: readonly CleanUpStep[];
  readonly demonstrations: readonly Demonstration[];
  /** Hidden state to read: 0 the token embeddings, "last" (or numLayers) the last layer after the final norm. */
  readonly layer: number | "last";
  /** Scale every vector to length 1. */
  readonly normalize: boolean;
  readonly precision: Precision;
  /** Identity of an adapter merged into the weights, or null. */
  readonly adapter: string | null;
}

/** A recipe in the making; `template` may be a name of `templates`. */
export type RecipeOptions = Partial<Recipe>;

/** Templates by name: PromptEOL (arXiv 2307.16645), and "Pretended Chain of Thought" and "Knowledge Enhancement" (arXiv 2404.03921). */
export const templates: Readonly<Record<string, string>> = {
  eol: 'This sentence : "{text}" means in one word:"',
  pretendedCot: 'After thinking step by step , this sentence : "{text}" means in one word:"',
  knowledgeEnhancement:
    "The essence of a sentence is often captured by its main subjects and actions, while descriptive terms provide " +
    "additional but less central details. With this in mind , this sentence : " +
    '"{text}" means in one word:"',
};

/** PromptEOL, which the published numbers are for. */
export const defaultTemplate: string = templates.eol!;

const slot = "{text}";

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isDemonstration = (value: unknown): value is Demonstration =>
  isObject(value) &&
  typeof value.sentence === "string" &&
  typeof value.word === "string" &&
  Object.keys(value).length === 2;

/** What each field of a recipe must be, in words and as a check. */
const fields: Record<keyof Recipe, readonly [string, (value: unknown) => boolean]> = {
  model: ["a string", (value) => typeof value === "string"],
  template: ["a string", (value) => typeof value === "string"],
  cleanUp: [
    `a list of ${cleanUpSteps.join(", ")}`,
    (value) => Array.isArray(value) && value.every((step) => cleanUpSteps.includes(step)),
  ],
  demonstrations: ['a list of { "sentence", "word" }', (value) => Array.isArray(value) && value.every(isDemonstration)],
  layer: [
    'a whole number from 0 or "last"',
    (value) => value === "last" || (typeof value === "number" && Number.isInteger(value) && value >= 0),
  ],
  normalize: ["true or false", (value) => typeof value === "boolean"],
  precision: [`one of ${precisions.join(", ")}`, (value) => precisions.includes(value as Precision)],
  adapter: ["null: adapters cannot be applied yet", (value) => value === null],
};

/**
 * Checks a recipe from outside, whole or in part.
 * @param where  file or option, for error messages
 * @throws InputError "bad-recipe" naming the field, "bad-template" for a template without exactly one slot
 */
export function readRecipe(json: unknown, where: string): RecipeOptions {
  if (!isObject(json)) throw new InputError("bad-recipe", `${where}: a recipe is a JSON object.`);
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
  if (typeof json.template === "string") resolveTemplate(json.template, where);
  return json as RecipeOptions;
}

/** The beginning of a value as JSON; "nested too deep" for what JSON.stringify gives up on. */
function shown(value: unknown): string {
  try {
    const json = JSON.stringify(value);
    return json.length > 200 ? `${json.slice(0, 200)}…` : json;
  } catch {
    return "nested too deep";
  }
}

function resolveTemplate(template: string, where: string): string {
  const text = Object.hasOwn(templates, template) ? templates[template]! : template;
  const slots = text.split(slot).length - 1;
  if (slots === 1) return text;
  throw new InputError(
    "bad-template",
    `${where}: the template ${shown(template)} has ${slots} ${slot} slots, but must have one; or name one of ${Object.keys(templates).join(", ")}.`,
  );
}

/** Fills in the paper's defaults. @throws InputError as readRecipe does */
export function completeRecipe(options: RecipeOptions, known: Pick<Recipe, "model" | "precision">): Recipe {
  const checked = readRecipe(options, "recipe");
  if (checked.model !== undefined && checked.model !== known.model) {
    throw new InputError(
      "bad-recipe",
      `the recipe is for the model ${checked.model}, but the loaded one is ${known.model}.`,
    );
  }
  return {
    template: resolveTemplate(checked.template ?? defaultTemplate, "recipe"),
    cleanUp: checked.cleanUp ?? cleanUpSteps,
    demonstrations: checked.demonstrations ?? [],
    layer: checked.layer ?? "last",
    normalize: checked.normalize ?? false,
    adapter: null,
    ...known,
  };
}

/** Stable name of a recipe: 16 hexadecimal digits of the sha256 of its JSON with sorted keys. */
export function recipeId(recipe: Recipe): string {
  return createHash("sha256").update(canonicalJson(recipe)).digest("hex").slice(0, 16);
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`).join(",")}}`;
}

/** What stands before and after the sentence in every prompt of a recipe. */
export interface PromptParts {
  readonly prefix: string;
  readonly suffix: string;
}

/** Demonstrations are whole prompts with their answer, `…means in one word:"Equestrian".`, one after the other. */
export function promptParts(recipe: Pick<Recipe, "template" | "demonstrations" | "cleanUp">): PromptParts {
  const [head = "", tail = ""] = recipe.template.split(slot);
  const close = tail.endsWith('"') ? '".' : ".";
  const shown = recipe.demonstrations.map(
    ({ sentence, word }) => head + cleanUp(sentence, recipe.cleanUp) + tail + word + close,
  );
  return { prefix: shown.join("") + head, suffix: tail };
}
