import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline, type Readable, Transform } from "node:stream";
import { createGunzip } from "node:zlib";
import { InputError } from "../errors.ts";
import { checkTextFile, readTextLines } from "./text-lines.ts";

/** One line, cut at its tabs. No quoting: a `"` is a plain character. */
export interface TsvRow {
  readonly fields: readonly string[];
  /** `file:line`, for messages. */
  readonly where: string;
  /** Why the line is no text; only where such lines are asked for. */
  readonly problem?: string;
}

export interface TsvOptions {
  /** Old corpora come in latin1; utf8 by default. */
  readonly encoding?: "utf8" | "latin1";
  /** As LineOptions has it. */
  readonly givesBadLines?: boolean;
}

/** `file`, or the same packed as `file.gz`, whichever is there; undefined for neither. */
export async function findPacked(file: string): Promise<string | undefined> {
  for (const candidate of [file, `${file}.gz`]) {
    if ((await stat(candidate).catch(() => null))?.isFile()) return candidate;
  }
  return undefined;
}

/**
 * Rows of a tab-separated file, unpacked where its name ends in `.gz`.
 * @throws InputError "file-not-found" for a file that cannot be read or unpacked, "not-utf8" with the line
 */
export async function* readTsv(file: string, options: TsvOptions = {}): AsyncGenerator<TsvRow, void, undefined> {
  const { givesBadLines = false } = options;
  for await (const { text, lineNumber, ...rest } of readTextLines(await openText(file, options), file, {
    givesBadLines,
  })) {
    yield { fields: text.split("\t"), where: `${file}:${lineNumber}`, ...rest };
  }
}

/**
 * The same for a file whose first line names the columns.
 * @returns the fields of the columns that were asked for, in that order
 * @throws InputError "bad-row" for a missing column, or a row with another number of fields than the header
 */
export async function* readTsvColumns(
  file: string,
  columns: readonly string[],
): AsyncGenerator<TsvRow, void, undefined> {
  let header: readonly string[] | undefined;
  let places: readonly number[] = [];
  for await (const { fields, where } of readTsv(file)) {
    const problem = header ? widthProblem(fields, header) : null;
    if (problem !== null) throw new InputError("bad-row", `${where}: ${problem}. Check the tabs.`);
    if (header) yield { fields: places.map((place) => fields[place]!), where };
    else {
      header = fields;
      places = columns.map((column) => columnPlace(fields, column, where));
    }
  }
  if (!header) throw new InputError("bad-row", `${file}: is empty; its first line must name ${columns.join(", ")}.`);
}

/** A text as a field: what would end the field or the line is a space. */
export const oneLine = (text: string): string => text.replace(/[\t\r\n]+/g, " ");

/** A row, to be written. */
export const tsvLine = (fields: readonly string[]): string => `${fields.map(oneLine).join("\t")}\n`;

/** What is wrong with the number of a row's fields; null for nothing. */
export const widthProblem = (fields: readonly string[], header: readonly string[]): string | null =>
  fields.length === header.length ? null : `${fields.length} fields, but the header has ${header.length}`;

function columnPlace(header: readonly string[], column: string, where: string): number {
  const place = header.indexOf(column);
  if (place >= 0) return place;
  throw new InputError("bad-row", `${where}: the header has no column "${column}"; it has ${header.join(", ")}.`);
}

/** A field that must be a number. @throws InputError "bad-row" */
export function numberField(field: string | undefined, name: string, where: string): number {
  const value = field === undefined || field.trim() === "" ? Number.NaN : Number(field);
  if (Number.isFinite(value)) return value;
  throw new InputError("bad-row", `${where}: the ${name} is ${JSON.stringify(field ?? "")}, but must be a number.`);
}

/**
 * Bytes of a file of text, unpacked where its name ends in `.gz`, as UTF-8.
 * @throws InputError "file-not-found"
 */
export async function openText(file: string, { encoding = "utf8" }: TsvOptions = {}): Promise<Readable> {
  await checkTextFile(file);
  const steps = [...(/\.gz$/i.test(file) ? [createGunzip()] : []), ...(encoding === "latin1" ? [fromLatin1()] : [])];
  const source: Readable = createReadStream(file, { highWaterMark: 256 * 1024 });
  return steps.reduce((from, step) => pipeline(from, step, () => {}), source); // a failure ends the last one with it
}

function fromLatin1(): Transform {
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => done(null, Buffer.from(chunk.toString("latin1"))),
  });
}
