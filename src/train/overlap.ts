import type { StsSet } from "../evaluate/sts.ts";
import type { Example } from "./examples.ts";

/** A text without what writing it differently changes: letters and digits, in lower case. */
const essence = (text: string): string => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

/** How many examples hold a sentence of a test set, by set: a score on it would not be one on unseen text. */
export function countOverlap(examples: readonly Example[], sets: readonly StsSet[]): Map<string, number> {
  const counts = new Map<string, number>();
  const texts = examples.map(({ anchor, positive, hardNegative }) =>
    [anchor, positive, ...(hardNegative === null ? [] : [hardNegative])].map(essence),
  );
  for (const { task, subsets } of sets) {
    const pairs = subsets.flatMap((subset) => subset.pairs);
    const tested = new Set(pairs.flatMap(({ sentence1, sentence2 }) => [essence(sentence1), essence(sentence2)]));
    const count = texts.filter((row) => row.some((text) => tested.has(text))).length;
    if (count > 0) counts.set(task, count);
  }
  return counts;
}
