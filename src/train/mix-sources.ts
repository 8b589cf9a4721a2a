import { InputError } from "../errors.ts";
import { readTable } from "../files/table.ts";
import { oneLine } from "../files/tsv.ts";
import { Random, shuffledIndex } from "./random.ts";

export interface MixedRow {
  readonly anchor: string;
  readonly positive: string;
  /** Empty for a pair. */
  readonly hardNegative: string;
  readonly source: string;
}

/** Names of the columns: those of triples, or of pairs. */
const layouts = [
  ["sent0", "sent1", "hard_neg"],
  ["sentence1", "sentence2"],
] as const;

/**
 * A sample of each named source out of files of triples (sent0, sent1, hard_neg, source) and of pairs (sentence1, sentence2,
 * source), in a random order that follows from the seed.
 * @param counts  rows to take, by source
 * @throws InputError "bad-row" with file and line for a row that is wrong, "bad-option" for a source with fewer rows
 */
export async function mixSources(
  files: readonly string[],
  counts: ReadonlyMap<string, number>,
  seed: number,
): Promise<MixedRow[]> {
  const bySource = new Map<string, MixedRow[]>([...counts.keys()].map((source) => [source, []]));
  const found = new Set<string>();
  for (const file of files) {
    for await (const { values, where, problem } of readTable(file)) {
      if (problem !== undefined) throw new InputError("bad-row", `${where}: ${problem}.`);
      const layout = layouts.find((names) => names.every((name) => typeof values[name] === "string"));
      const source = values.source;
      if (!layout || typeof source !== "string") {
        const names = Object.keys(values).join(", ");
        throw new InputError(
          "bad-row",
          `${where}: the columns are ${names}; a mix needs source, and sent0, sent1, hard_neg or sentence1, sentence2.`,
        );
      }
      const [anchor = "", positive = "", hardNegative = ""] = layout.map((name) => oneLine(values[name] as string));
      found.add(source);
      bySource.get(source)?.push({ anchor, positive, hardNegative, source });
    }
  }
  const random = new Random(seed);
  const shuffled = <T>(items: readonly T[]): T[] => Array.from(shuffledIndex(items.length, random), (i) => items[i]!);
  const taken = [...counts].flatMap(([source, count]) => {
    const rows = bySource.get(source)!;
    if (rows.length >= count) return shuffled(rows).slice(0, count);
    const advice = rows.length > 0 ? "Take fewer." : `There are ${[...found].sort().join(", ")}.`;
    throw new InputError(
      "bad-option",
      `the source ${source} has ${rows.length} rows in these files, not ${count}. ${advice}`,
    );
  });
  return shuffled(taken);
}
