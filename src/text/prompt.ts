import { InputError } from "../errors.ts";
import { toWellFormed } from "./clean-up.ts";
import { fillParts, type PromptParts } from "./prompt-parts.ts";
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
  /** Place of the placeholder's token, which stands for no text; only with Token Prepending. */
  readonly placeholder?: number;
  /** What of the sentence is in it. */
  readonly sentence: string;
  /** Tokens that were cut from the sentence. */
  readonly truncatedTokens: number;
}

/**
 * Tokens of a prompt. Only the sentence is ever cut, so the last token, which is read, is always the template's last.
 * An empty sentence is the template around nothing.
 * @throws InputError "empty-text" where that leaves no token at all, "too-long" unless `truncate`, or where the template alone does not fit
 */
export function encodePrompt(
  tokenizer: Tokenizer,
  parts: PromptParts,
  text: string,
  options: EncodePromptOptions,
): EncodedPrompt {
  const sentence = toWellFormed(text);
  const encode = (inner: string): number[] => encodeParts(tokenizer, parts, inner);
  const place = placeholderOf(tokenizer, parts);
  const ids = encode(sentence);
  const { maxTokens } = options;
  if (ids.length === 0) {
    throw new InputError(
      "empty-text",
      `input[${options.index}]: no token: the text is empty, and neither the template nor the model adds one. ` +
        "Leave it out, or use a template with words.",
    );
  }
  if (ids.length <= maxTokens) return { ids, sentence, truncatedTokens: 0, ...place };
  const templateTokens = encode("").length;
  if (!options.truncate || templateTokens > maxTokens) throw tooLong(ids.length, templateTokens, options);
  const start = longestStart(sentence, (some) => encode(some).length <= maxTokens);
  const shortened = encode(start);
  return { ids: shortened, sentence: start, truncatedTokens: ids.length - shortened.length, ...place };
}

/** Any token does for the placeholder: its state is overwritten before a layer reads it, but for those before fromLayer. */
const placeholderId = 0;

function encodeParts(tokenizer: Tokenizer, parts: PromptParts, sentence: string): number[] {
  const ids = tokenizer.encode(fillParts(parts, sentence));
  if (parts.beforePlaceholder === undefined) return ids;
  return [...tokenizer.encode(parts.beforePlaceholder), placeholderId, ...ids.slice(tokenizer.bosIds.length)];
}

const placeholderOf = (tokenizer: Tokenizer, { beforePlaceholder }: PromptParts): { readonly placeholder?: number } =>
  beforePlaceholder === undefined ? {} : { placeholder: tokenizer.encode(beforePlaceholder).length };

/**
 * Where the sentence, or its last copy, lies in a prompt's tokens: those that are neither of the text before it nor of the
 * text behind it. A token that holds both is the sentence's; where there is none left, the last token.
 * @returns start and end, exclusive
 */
export function sentenceSpan(
  tokenizer: Tokenizer,
  parts: PromptParts,
  { ids, sentence, placeholder }: EncodedPrompt,
): readonly [number, number] {
  if (sentence === "") return [ids.length - 1, ids.length];
  const own = placeholder === undefined ? ids : [...tokenizer.bosIds, ...ids.slice(placeholder + 1)];
  const before = parts.prefix + (parts.echo === undefined ? "" : sentence + parts.echo);
  const start = common(own, tokenizer.encode(before)).length;
  const behind = tokenizer.encode(parts.suffix).slice(tokenizer.bosIds.length);
  const end = own.length - common(own.toReversed(), behind.toReversed()).length;
  const shift = ids.length - own.length;
  return start < end ? [start + shift, end + shift] : [ids.length - 1, ids.length];
}

function tooLong(tokens: number, templateTokens: number, { maxTokens, index }: EncodePromptOptions): InputError {
  if (templateTokens > maxTokens) {
    return new InputError(
      "too-long",
      `the template and its demonstrations are ${templateTokens} tokens, but the model takes ${maxTokens}. Use a shorter template or fewer demonstrations.`,
    );
  }
  return new InputError(
    "too-long",
    `input[${index}]: ${tokens - templateTokens} tokens, ${maxTokens - templateTokens} fit (${maxTokens} less the template's ${templateTokens}). ` +
      "Shorten it or set truncate.",
  );
}

/**
 * The beginning of a text that fits, in whole code points; "" must fit. Grows it by doubling first, so that the cost
 * depends on what fits and not on the text's length. More characters can be fewer tokens ("wor" and "word"), so it may
 * stop a word short of the very longest.
 */
function longestStart(text: string, fits: (start: string) => boolean): string {
  const start = (length: number): string => text.slice(0, splitsPair(text, length) ? length - 1 : length);
  let [fitting, tooLong] = [0, 64];
  while (tooLong < text.length && fits(start(tooLong))) [fitting, tooLong] = [tooLong, tooLong * 2];
  tooLong = Math.min(tooLong, text.length);
  while (tooLong - fitting > 1) {
    const middle = (fitting + tooLong) >> 1;
    if (fits(start(middle))) fitting = middle;
    else tooLong = middle;
  }
  return start(fitting);
}

const splitsPair = (text: string, at: number): boolean =>
  /^[\ud800-\udbff]$/.test(text[at - 1] ?? "") && /^[\udc00-\udfff]$/.test(text[at] ?? "");

/**
 * Beginnings of sentences that are known to join the template before them: marks, white space, line ends, digits, and
 * characters that normalisation puts on the one before.
 */
const joiners = [
  "A",
  "a",
  "s",
  "0",
  "é",
  "数",
  "\u0301",
  "\u200d",
  "😀",
  " ",
  "  ",
  " a",
  "\t",
  "\n",
  "\n\n",
  "\r\n",
].concat(Array.from("!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"), ["'s", "''", '".', "..", "--", "//", "==", ")."]);

/**
 * The tokens that every prompt of a recipe begins with, whatever the sentence: they can be run once. A tokenizer may join
 * the template's last word to what follows, ` "` and `)` to ` ")`, but not what lies before white space; so these are the
 * tokens before the last white space, where all of `joiners` leave them as they are.
 */
export function sharedPrefix(tokenizer: Tokenizer, parts: PromptParts): number[] {
  const { prefix } = parts;
  if (parts.beforePlaceholder !== undefined) return tokenizer.encode(parts.beforePlaceholder);
  const settled = tokenizer.encode(prefix.replace(/\s*\S*$/, ""));
  return ["", ...joiners].reduce(
    (shared, joiner) => common(shared, tokenizer.encode(fillParts(parts, joiner))),
    settled,
  );
}

function common(a: readonly number[], b: readonly number[]): number[] {
  const differs = a.findIndex((id, i) => b[i] !== id);
  return a.slice(0, differs < 0 ? a.length : differs);
}

/** Whether a prompt goes on after tokens that were run already. */
export const startsWith = (ids: readonly number[], prefix: readonly number[]): boolean =>
  ids.length > prefix.length && prefix.every((id, i) => ids[i] === id);
