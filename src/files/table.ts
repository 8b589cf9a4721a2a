import { pipeline } from "node:stream";
import type { CsvError } from "csv-parse";
import { InputError } from "../errors.ts";
import { parseJsonObject } from "./json.ts";
import { cannotRead, checkTextFile, decodeUtf8, isPackingError, readTextLines } from "./text-lines.ts";
import { openText, readTsv, widthProblem } from "./tsv.ts";

/** A row by the names of its columns. */
export interface TableRow {
  readonly values: Readonly<Record<string, unknown>>;
  /** `file:line`, or `file, row n` where a file has no lines. */
  readonly where: string;
  /** What is wrong with the row itself; its values are not to be used then. */
  readonly problem?: string;
}

const tableFormats = ["tsv", "csv", "jsonl", "parquet"] as const;

/**
 * Rows of a table: `.tsv`, `.csv` (RFC 4180) or `.jsonl`, each perhaps with `.gz` behind it, or `.parquet`. The first line
 * of the first two names the columns. A row that is wrong in itself is given with what is wrong.
 * @throws InputError "bad-row" for a name without a format or a file without a header; "file-not-found"
 */
export async function* readTable(file: string): AsyncGenerator<TableRow, void, undefined> {
  await checkTextFile(file);
  const format = /\.(tsv|csv|jsonl|ndjson|parquet)(\.gz)?$/i.exec(file)?.[1]?.toLowerCase();
  if (format === "tsv") yield* tsvRows(file);
  else if (format === "csv") yield* csvRows(file);
  else if (format === "parquet") yield* parquetRows(file);
  else if (format) yield* jsonRows(file);
  else throw new InputError("bad-row", `${file}: its extension names no format. Name it ${tableFormats.join(", ")}.`);
}

async function* tsvRows(file: string): AsyncGenerator<TableRow> {
  let header: readonly string[] | undefined;
  for await (const { fields, where, problem } of readTsv(file, { givesBadLines: true })) {
    if (problem !== undefined && header) yield { values: {}, where, problem };
    else if (problem !== undefined) throw new InputError("not-utf8", `${where}: the header is ${problem}.`);
    else if (header) yield namedRow(header, fields, where);
    else header = checkHeader(fields, where);
  }
  if (!header) throw emptyTable(file);
}

async function* csvRows(file: string): AsyncGenerator<TableRow> {
  const { parse } = await import("csv-parse");
  const wrong: TableRow[] = [];
  let lastWrong: string | undefined; // a row may have several stray quotes
  let fatal: CsvError | undefined; // a quote that is closed wrongly takes the rows behind it along
  const options = {
    encoding: null, // with csv-parse's own handling of the mark it would be lost
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    on_skip: (error: CsvError | undefined) => {
      const where = `${file}:${error?.lines}`;
      if (error?.code !== "INVALID_OPENING_QUOTE") fatal ??= error;
      else if (where !== lastWrong) wrong.push({ values: {}, where, problem: `not CSV (${error.message})` });
      lastWrong = where;
      return undefined;
    },
  } as const;
  const rows = pipeline(withoutMark(await openText(file)), parse(options), () => {});
  let header: readonly string[] | undefined;
  try {
    for await (const { record, info } of rows as AsyncIterable<{ record: Buffer[]; info: { lines: number } }>) {
      if (fatal) throw fatal;
      yield* wrong.splice(0);
      const where = `${file}:${info.lines}`;
      const fields = record.map(decodeUtf8);
      if (header)
        yield fields.every(isText) ? namedRow(header, fields, where) : { values: {}, where, problem: "not UTF-8" };
      else if (fields.every(isText)) header = checkHeader(fields, where);
      else throw new InputError("not-utf8", `${where}: the header is not UTF-8.`);
    }
    if (fatal) throw fatal;
    yield* wrong.splice(0);
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    if ((cause as NodeJS.ErrnoException).syscall || isPackingError(cause)) throw cannotRead(file, cause);
    throw new InputError("bad-row", `${file}: not CSV: ${(cause as Error).message}. Check its quotes.`, { cause });
  }
  if (!header) throw emptyTable(file);
}

/** Bytes without the byte order mark of UTF-8 in front. */
async function* withoutMark(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isFirst = true;
  for await (const chunk of chunks) {
    const hasMark = isFirst && chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf;
    yield hasMark ? chunk.subarray(3) : chunk;
    isFirst = false;
  }
}

const isText = (field: string | null): field is string => field !== null;

async function* jsonRows(file: string): AsyncGenerator<TableRow> {
  for await (const { text, lineNumber, problem } of readTextLines(await openText(file), file, {
    givesBadLines: true,
  })) {
    const where = `${file}:${lineNumber}`;
    if (problem !== undefined) yield { values: {}, where, problem };
    else if (text.trim() !== "") yield jsonRow(text, where);
  }
}

function jsonRow(text: string, where: string): TableRow {
  try {
    return { values: parseJsonObject(text, Error), where };
  } catch (error) {
    return { values: {}, where, problem: (error as Error).message };
  }
}

async function* parquetRows(file: string): AsyncGenerator<TableRow> {
  const { asyncBufferFromFile, parquetReadObjects } = await import("hyparquet");
  const { compressors } = await import("hyparquet-compressors");
  let rows: Record<string, unknown>[];
  try {
    rows = await parquetReadObjects({ file: await asyncBufferFromFile(file), compressors });
  } catch (cause) {
    const advice = "Write the file again, or as .tsv, .csv or .jsonl.";
    throw new InputError("bad-row", `${file}: no Parquet that can be read: ${(cause as Error).message}. ${advice}`, {
      cause,
    });
  }
  for (const [i, values] of rows.entries()) yield { values, where: `${file}, row ${i + 1}` };
}

/** @throws InputError "bad-row" for two columns of one name, of which a row's values could not be told apart */
function checkHeader(header: readonly string[], where: string): readonly string[] {
  const twice = header.find((name, i) => name !== "" && header.indexOf(name) < i);
  if (twice === undefined) return header;
  throw new InputError("bad-row", `${where}: the header has two columns "${twice}". Give each a name of its own.`);
}

function namedRow(header: readonly string[], fields: readonly string[], where: string): TableRow {
  const values = Object.fromEntries(header.map((name, i) => [name, fields[i]]));
  const problem = widthProblem(fields, header);
  return problem === null ? { values, where } : { values, where, problem };
}

const emptyTable = (file: string): InputError =>
  new InputError("bad-row", `${file}: is empty; its first line must name the columns.`);
