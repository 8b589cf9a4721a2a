import { InputError } from "../errors.ts";
import { readTable, type TableRow } from "../files/table.ts";
import { shown } from "../text/shown.ts";

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
  /** The anchor's own column for unsupervised SimCSE: a text is its own positive, told apart by dropout. */
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
  /** Leave wrong rows out and count them, instead of stopping at the first. */
  readonly skipsBadRows?: boolean;
}

export interface Examples {
  readonly examples: Example[];
  /** Rows that were wrong. */
  readonly skipped: number;
  /** Those of the sources to be left out that rows were of; null where no row says its source. */
  readonly sourcesLeftOut: ReadonlySet<string> | null;
}

/**
 * Reads training data from .tsv, .csv, .jsonl (.gz) or .parquet. A row with an empty hard negative is a pair.
 * @throws InputError "bad-row" with file and line for a row without one of its texts; "file-not-found"
 */
export async function readExamples(file: string, options: ReadExamplesOptions): Promise<Examples> {
  const { columns, excludedSources = [], skipsBadRows = false } = options;
  const excluded = new Set(excludedSources);
  const sourceColumn = excluded.size > 0 ? (columns.source ?? "source") : null;
  let sourcesLeftOut: Set<string> | null = null;
  const examples: Example[] = [];
  let [skipped, rows] = [0, 0];
  let firstProblem: string | undefined;
  for await (const row of readTable(file)) {
    rows++;
    const source = sourceColumn && !row.problem ? row.values[sourceColumn] : null;
    if (source !== null && source !== undefined) {
      sourcesLeftOut ??= new Set();
      if (excluded.has(String(source))) {
        sourcesLeftOut.add(String(source));
        continue;
      }
    }
    const problem = row.problem ?? problemOf(row, columns);
    if (problem === null) examples.push(exampleOf(row, columns));
    else if (skipsBadRows) {
      skipped++;
      firstProblem ??= `${row.where}: ${problem}`;
    } else {
      throw new InputError(
        "bad-row",
        `${row.where}: ${problem}. Put it right, or leave wrong rows out by skipping them.`,
      );
    }
  }
  if (examples.length > 0) return { examples, skipped, sourcesLeftOut };
  throw new InputError("bad-row", `${file}: holds no example: ${whyNone(rows, skipped, firstProblem)}`);
}

function whyNone(rows: number, skipped: number, firstProblem: string | undefined): string {
  if (rows === 0) return "there are no rows. Give a file that has some.";
  const leftOut = rows > skipped ? `${rows - skipped} rows are of sources that are left out` : "";
  const wrong = firstProblem ? `${skipped} are wrong, the first one ${firstProblem}` : "";
  return `${[leftOut, wrong].filter(Boolean).join(", ")}. Put the file right, or choose other columns or sources.`;
}

const textColumns = ({ anchor, positive, hardNegative }: ExampleColumns): string[] =>
  hardNegative === null ? [anchor, positive] : [anchor, positive, hardNegative];

function problemOf({ values }: TableRow, columns: ExampleColumns): string | null {
  const noColumn = (name: string): string => `no column "${name}"; there are ${Object.keys(values).join(", ")}`;
  for (const name of textColumns(columns)) {
    const value = values[name];
    if (name === columns.hardNegative && isAbsent(value)) continue;
    if (value === undefined && name === columns.hardNegative) {
      return `${noColumn(name)}; for pairs, say that there is none (--hard-negative none)`;
    }
    if (value === undefined) return noColumn(name);
    if (typeof value !== "string") return `"${name}" is ${shown(value)}, not a text`;
    if (value.trim() === "") return `"${name}" is empty`;
  }
  return null;
}

/** A pair among triples: the column is there, and empty. */
const isAbsent = (value: unknown): boolean => value === null || (typeof value === "string" && value.trim() === "");

function exampleOf({ values }: TableRow, columns: ExampleColumns): Example {
  const [anchor, positive, hardNegative] = textColumns(columns).map((name) => values[name] as string);
  return { anchor: anchor!, positive: positive!, hardNegative: isAbsent(hardNegative ?? null) ? null : hardNegative! };
}
