import { InputError } from "../errors.ts";
import type { PromptParts } from "./recipe.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface EncodePromptOptions {
  /** Longest prompt the model takes, in tokens. */
  readonly maxTokens: number;
  /** Shorten a sentence that does not fit, instead of the error "too-long". */
  readonly truncate: boolean;
  /** Number of the text in the input, for the error message. */
  readonly index: number;
}

export interface EncodedPrompt {
  /** Exactly the ids of the whole prompt's text, the model's own first token included. */
  readonly ids: number[];
  /** Tokens that were cut from the sentence. */
  readonly truncatedTokens: number;
}

/**
 * Tokens of a prompt. Only the sentence is ever cut, so the last token, which is read, is always the template's last.
 * @throws InputError "too-long" unless `truncate`, or where the template alone does not fit
 */
export function encodePrompt(
  tokenizer: Tokenizer,
  { prefix, suffix }: PromptParts,
  sentence: string,
  { maxTokens, truncate, index }: EncodePromptOptions,
): EncodedPrompt {
  const encode = (text: string): number[] => tokenizer.encode(prefix + text + suffix);
  const ids = encode(sentence);
  if (ids.length <= maxTokens) return { ids, truncatedTokens: 0 };
  const templateTokens = encode("").length;
  const fit = maxTokens - templateTokens;
  if (!truncate || fit < 0) {
    throw new InputError(
      "too-long",
      `input[${index}]: ${ids.length - templateTokens} tokens, ${Math.max(0, fit)} fit (${maxTokens} less the template's ${templateTokens}). ` +
        (fit < 0 ? "Use fewer demonstrations." : "Shorten it or set truncate."),
    );
  }
  const characters = Array.from(sentence); // whole code points
  let [kept, tooMany] = [0, characters.length];
  while (tooMany - kept > 1) {
    const middle = (kept + tooMany) >> 1;
    if (encode(characters.slice(0, middle).join("")).length <= maxTokens) kept = middle;
    else tooMany = middle;
  }
  const shortened = encode(characters.slice(0, kept).join(""));
  return { ids: shortened, truncatedTokens: ids.length - shortened.length };
}

/** First characters that sentences commonly have: letters, a digit, other scripts. */
const probes = ["A", "a", "T", "the", "I", "0", "é", "数", "Я"];

/**
 * Tokens that prompts of a recipe begin with, for running them once. A sentence that begins with a mark may merge with
 * the template's last one, so every prompt must still be compared.
 */
export function sharedPrefix(tokenizer: Tokenizer, { prefix, suffix }: PromptParts): number[] {
  const [first = [], ...others] = probes.map((probe) => tokenizer.encode(prefix + probe + suffix));
  const differs = first.findIndex((id, i) => others.some((ids) => ids[i] !== id));
  return first.slice(0, differs < 0 ? 0 : differs);
}

export const startsWith = (ids: readonly number[], prefix: readonly number[]): boolean =>
  ids.length > prefix.length && prefix.every((id, i) => ids[i] === id);
