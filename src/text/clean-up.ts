import type { CleanUpStep } from "./recipe.ts";

/** White space as Python's str.strip has it, which the reference uses. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python counts four control characters as white space
const edges = /^[\s\x1c-\x1f\x85]+|[\s\x1c-\x1f\x85]+$/g;

const steps: Record<CleanUpStep, (text: string) => string> = {
  trim: (text) => text.replace(edges, ""),
  fullStop: (text) => (/[.?"']$/.test(text) ? text : `${text}.`),
  singleQuotes: (text) => text.replaceAll('"', "'"),
  questionToFullStop: (text) => (text.endsWith("?") ? `${text.slice(0, -1)}.` : text),
};

export const cleanUpSteps = Object.keys(steps) as CleanUpStep[];

/**
 * A sentence as the paper's code puts it into the template. White space alone becomes "."; the empty text too.
 * @see kongds/scaling_sentemb, evaluation.py
 */
export function cleanUp(text: string, names: readonly CleanUpStep[]): string {
  return names.reduce((cleaned, name) => steps[name](cleaned), toWellFormed(text));
}

/** Half surrogates, which UTF-8 cannot say, become U+FFFD. */
export function toWellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}
