import { cleanUp } from "./clean-up.ts";
import type { Recipe } from "./recipe.ts";
import { placeholder, slot } from "./templates.ts";

/** What stands around the sentence in every prompt of a template. */
export interface PromptParts {
  /** Up to the sentence; with Token Prepending, what follows the placeholder. */
  readonly prefix: string;
  readonly suffix: string;
  /** What stands between the sentence and its second copy, if it has one (Echo). */
  readonly echo?: string;
  /** What stands before the placeholder, if there is one (Token Prepending). */
  readonly beforePlaceholder?: string;
}

/** A whole prompt; with a placeholder, what follows it. */
export const fillParts = ({ prefix, suffix, echo }: PromptParts, sentence: string): string =>
  prefix + sentence + (echo === undefined ? "" : echo + sentence) + suffix;

/**
 * The parts of each of a recipe's prompts. Demonstrations are whole prompts with their answer,
 * `…means in one word:"Equestrian".`, one after the other; they have no placeholder.
 */
export function promptParts({ template, ...recipe }: PromptRecipe): PromptParts[] {
  return [template].flat().map((one) => partsOf(one, recipe));
}

type PromptRecipe = Pick<Recipe, "template" | "demonstrations" | "cleanUp">;

function partsOf(template: string, { demonstrations, cleanUp: steps }: Omit<PromptRecipe, "template">): PromptParts {
  const own = templateParts(template);
  const plain = templateParts(template.replace(new RegExp(`\\s*${placeholder}`), ""));
  const close = own.suffix.endsWith('"') ? '".' : ".";
  const shown = demonstrations.map(({ sentence, word }) => fillParts(plain, cleanUp(sentence, steps)) + word + close);
  if (own.beforePlaceholder === undefined) return { ...own, prefix: shown.join("") + own.prefix };
  return { ...own, beforePlaceholder: shown.join("") + own.beforePlaceholder };
}

function templateParts(template: string): PromptParts {
  const [head = "", ...rest] = template.split(slot);
  const [before = "", after] = head.split(placeholder);
  return {
    prefix: after ?? before,
    suffix: rest.at(-1) ?? "",
    ...(rest.length > 1 ? { echo: rest[0]! } : {}),
    ...(after === undefined ? {} : { beforePlaceholder: before.trimEnd() }),
  };
}

/** What a recipe has done besides reading the last token of a prompt: to tokens, to states, to vectors. */
export const fieldsBeyondPrompt = (recipe: Recipe): string[] =>
  (["pooling", "tokenPrepending", "subtractTemplate", "whitening"] as const).filter(
    (field) => recipe[field] !== undefined && recipe[field] !== null,
  );
