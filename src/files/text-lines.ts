import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { addAbortSignal, type Readable } from "node:stream";
import { InputError } from "../errors.ts";

/** One line without its line ending, and where it came from. */
export interface TextLine {
  readonly text: string;
  /** From 1. */
  readonly lineNumber: number;
  /** Why its bytes are no text; only where such lines are asked for. */
  readonly problem?: string;
}

export interface LineOptions {
  /** Give lines that are not UTF-8 with what is wrong, instead of stopping at the first. */
  readonly givesBadLines?: boolean;
  /** Longest line in bytes; 16 MB by default. A longer one is refused before it is held in memory. */
  readonly maxLineBytes?: number;
}

const lineFeed = 10;
const carriageReturn = 13;
const megabyte = 1_000_000;

/**
 * Opens a file of texts for reading.
 * @throws InputError "file-not-found" when it is missing, a folder, or not readable
 */
export async function openTextFile(file: string, signal?: AbortSignal): Promise<Readable> {
  await checkTextFile(file);
  const stream = createReadStream(file, { highWaterMark: 256 * 1024 });
  return signal ? addAbortSignal(signal, stream) : stream;
}

/** @throws InputError "file-not-found" when `file` is missing or a folder */
export async function checkTextFile(file: string): Promise<void> {
  let isFolder: boolean;
  try {
    isFolder = (await stat(file)).isDirectory();
  } catch (cause) {
    throw cannotRead(file, cause);
  }
  if (isFolder) throw new InputError("file-not-found", `${file}: is a folder, where a file is wanted.`);
}

/** Whether what was to be unpacked cannot be. */
export const isPackingError = (cause: unknown): boolean =>
  String((cause as NodeJS.ErrnoException).code).startsWith("Z_");

/** A file that cannot be read, as an error that says what to do. */
export function cannotRead(file: string, cause: unknown): InputError {
  const code = (cause as NodeJS.ErrnoException).code;
  const reason = code === "ENOENT" ? "no such file" : `cannot be read (${code ?? String(cause)})`;
  const advice = isPackingError(cause) ? "It is damaged: get it again." : "Check the path and its permissions.";
  return new InputError("file-not-found", `${file}: ${reason}. ${advice}`, { cause });
}

/**
 * Lines of a byte stream, strictly UTF-8. A line ends in \n or \r\n; a byte order mark in front of the first is not part
 * of it; the last one may lack its line ending. An empty line is a line. Memory is bounded by one chunk and one line.
 * @param name  what an error calls the stream, in front of the line number
 * @throws InputError "not-utf8" with the line's number, after every line before it was given out; "too-long" for a line
 *   over `maxLineBytes`; "file-not-found" when reading fails
 */
export async function* readTextLines(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
  { maxLineBytes = 16 * megabyte, givesBadLines = false }: LineOptions = {},
): AsyncGenerator<TextLine, void, undefined> {
  let lineNumber = 1;
  let begun: Uint8Array[] = []; // parts of a line whose end has not come yet
  let begunBytes = 0;
  const refuseTooLong = (): never => {
    throw new InputError(
      "too-long",
      `${name}:${lineNumber}: the line is longer than ${maxLineBytes / megabyte} MB. ` +
        "Is this a text file with one sentence a line?",
    );
  };
  for await (const chunk of readable(chunks, name)) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      if (begunBytes + end - start > maxLineBytes) refuseTooLong();
      const part = chunk.subarray(start, end);
      const line = begun.length === 0 ? part : Buffer.concat([...begun, part]);
      begun = [];
      begunBytes = 0;
      start = end + 1;
      yield lineOf(line, name, lineNumber, givesBadLines);
      lineNumber++;
    }
    if (start < chunk.length) {
      begun.push(chunk.subarray(start));
      begunBytes += chunk.length - start;
      if (begunBytes > maxLineBytes) refuseTooLong();
    }
  }
  if (begunBytes > 0) yield lineOf(Buffer.concat(begun), name, lineNumber, givesBadLines);
}

/** The chunks as they are; a failing read gets the file's name. An abort stays what it is. */
async function* readable(chunks: AsyncIterable<Uint8Array | string>, name: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of chunks) yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
  } catch (cause) {
    if ((cause as Error).name === "AbortError") throw cause;
    throw cannotRead(name, cause);
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Null for bytes that are no UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return strictUtf8.decode(bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_ENCODING_INVALID_ENCODED_DATA") return null;
    throw error;
  }
}

function lineOf(bytes: Uint8Array, name: string, lineNumber: number, givesBadLines: boolean): TextLine {
  const line = bytes.at(-1) === carriageReturn ? bytes.subarray(0, -1) : bytes;
  const text = decodeUtf8(line);
  if (text === null) {
    if (givesBadLines) return { text: "", lineNumber, problem: "not UTF-8" };
    throw new InputError(
      "not-utf8",
      `${name}:${lineNumber}: not UTF-8. Convert the file first, e.g. iconv -f ISO-8859-1 -t UTF-8.`,
    );
  }
  return { text: lineNumber === 1 && text.startsWith("\uFEFF") ? text.slice(1) : text, lineNumber };
}
