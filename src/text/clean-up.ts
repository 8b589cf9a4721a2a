import type { CleanUpStep } from "./recipe.ts";

const steps: Record<CleanUpStep, (text: string) => string> = {
  trim,
  fullStop: (text) => (text === "" || /[.?"']$/.test(text) ? text : `${text}.`),
  singleQuotes: (text) => text.replaceAll('"', "'"),
  questionToFullStop: (text) => (text.endsWith("?") ? `${text.slice(0, -1)}.` : text),
};

export const cleanUpSteps = Object.keys(steps) as CleanUpStep[];

/**
 * A sentence as the paper's code puts it into the template. An empty text, or one of white space, stays empty: its
 * embedding is that of the template around nothing.
 * @see kongds/scaling_sentemb at 656ddec, evaluation.py, batcher
 */
export function cleanUp(text: string, names: readonly CleanUpStep[]): string {
  return names.reduce((cleaned, name) => steps[name](cleaned), toWellFormed(text));
}

/** Half surrogates, which UTF-8 cannot say, become U+FFFD. */
export function toWellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

/** White space as Python's str.strip has it: with four control characters and U+0085, without U+FEFF. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what Python counts
const white = /[^\S\ufeff]|[\x1c-\x1f\x85]/;

function trim(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && white.test(text[start]!)) start++;
  while (end > start && white.test(text[end - 1]!)) end--;
  return text.slice(start, end);
}
