import { InputError } from "../errors.ts";
import { readTsvColumns } from "../files/tsv.ts";

/** What one row of training data says. */
export interface Example {
  readonly anchor: string;
  /** A text of the same meaning, or one that the anchor entails. */
  readonly positive: string;
  /** A text that the anchor contradicts; null for pairs. */
  readonly hardNegative: string | null;
}

/** Names of the columns; SimCSE's by default. */
export interface ExampleColumns {
  readonly anchor: string;
  readonly positive: string;
  /** Null where the data are pairs. */
  readonly hardNegative: string | null;
  /** Where a row came from; needed only to leave sources out. */
  readonly source?: string;
}

export const defaultColumns: ExampleColumns = { anchor: "sent0", positive: "sent1", hardNegative: "hard_neg" };

export interface ReadExamplesOptions {
  readonly columns: ExampleColumns;
  /** Rows of these sources are left out. */
  readonly excludedSources?: readonly string[];
}

/**
 * Reads training data: tab-separated, the first line naming the columns, perhaps gzipped.
 * @throws InputError "bad-row" with file and line for a row with an empty text, "file-not-found"
 */
export async function readExamples(file: string, options: ReadExamplesOptions): Promise<Example[]> {
  const { anchor, positive, hardNegative, source } = options.columns;
  const excluded = new Set(options.excludedSources ?? []);
  const names = [
    anchor,
    positive,
    ...(hardNegative === null ? [] : [hardNegative]),
    ...(excluded.size ? [source!] : []),
  ];
  const examples: Example[] = [];
  for await (const { fields, where } of readTsvColumns(file, names)) {
    if (excluded.size > 0 && excluded.has(fields.at(-1)!)) continue;
    const texts = fields.slice(0, hardNegative === null ? 2 : 3);
    const empty = texts.findIndex((text) => text.trim() === "");
    if (empty >= 0) throw new InputError("bad-row", `${where}: "${names[empty]}" is empty. Take the row out.`);
    examples.push({ anchor: texts[0]!, positive: texts[1]!, hardNegative: texts[2] ?? null });
  }
  if (examples.length > 0) return examples;
  throw new InputError("bad-row", `${file}: holds no example.`);
}
