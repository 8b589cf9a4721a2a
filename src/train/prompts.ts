import { InputError, ModelError } from "../errors.ts";
import { cleanUp } from "../text/clean-up.ts";
import { encodePrompt, sharedPrefix, startsWith } from "../text/prompt.ts";
import { fieldsBeyondPrompt, fillParts, type PromptParts, promptParts } from "../text/prompt-parts.ts";
import type { Recipe } from "../text/recipe.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** Token ids of texts in a recipe's template. */
export interface PromptEncoder {
  /** Those that all texts begin with. */
  readonly prefix: readonly number[];
  /** Most ids that `encode` gives. */
  readonly maxTokens: number;
  encode(text: string): readonly number[];
}

/** Training reads the last token of one prompt, as it is. */
function trainedParts(recipe: Recipe): PromptParts {
  const [parts, another] = promptParts(recipe);
  const beyond = [...fieldsBeyondPrompt(recipe), ...(recipe.adapter === null ? [] : ["adapter"])];
  if (parts && !another && beyond.length === 0) return parts;
  throw new InputError(
    "bad-recipe",
    `training takes a recipe of one template, demonstrations, clean-up and a layer, but this one has ${another ? "several templates" : beyond.join(", ")}. ` +
      "Leave that out; what is fitted on vectors, such as whitening, is fitted on the trained model's.",
  );
}

/** @param maxSentenceTokens  longer sentences are cut to it, as in the paper's training */
export function createPromptEncoder(tokenizer: Tokenizer, recipe: Recipe, maxSentenceTokens: number): PromptEncoder {
  const parts = trainedParts(recipe);
  const shared = sharedPrefix(tokenizer, parts);
  const maxTokens = tokenizer.encode(fillParts(parts, "")).length + maxSentenceTokens;
  const encode = (text: string): number[] =>
    encodePrompt(tokenizer, parts, cleanUp(text, recipe.cleanUp), { maxTokens, truncate: true, index: 0 }).ids;
  return {
    prefix: shared,
    maxTokens,
    encode(text) {
      const ids = encode(text);
      if (startsWith(ids, shared)) return ids;
      throw new ModelError(
        "tokenizer",
        `the tokenizer joins the template's beginning to ${JSON.stringify(text.slice(0, 40))}: its first tokens are not those of all prompts. Use another template.`,
      );
    },
  };
}
