import { statSync } from "node:fs";
import { addAbortSignal, type Readable } from "node:stream";
import { readJsonlField } from "../files/jsonl.ts";
import { checkTextFile, openTextFile, readTextLines, type TextLine } from "../files/text-lines.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import type { TextFlags } from "./flags.ts";

/**
 * Texts of a command in order: its arguments, then each --file; stdin when there is neither. Files are checked now and
 * read later, as far as someone asks for their texts.
 * @throws UsageError without any text; InputError "file-not-found"
 */
export async function planTexts(
  texts: readonly string[],
  flags: TextFlags,
  context: CliContext,
): Promise<AsyncIterable<string>> {
  const files = flags.file ?? (texts.length > 0 ? [] : ["-"]);
  if (files.filter((file) => file === "-").length > 1) throw new UsageError("--file -: stdin can be read only once.");
  if (flags.file === undefined && texts.length === 0 && context.stdin.isTTY) {
    throw new UsageError("no text. Give texts as arguments, files with --file, or lines on standard input.");
  }
  for (const file of files) if (file !== "-") await checkTextFile(file);
  return readTexts(texts, files, flags, context);
}

async function* readTexts(
  texts: readonly string[],
  files: readonly string[],
  flags: TextFlags,
  { stdin, signal }: CliContext,
): AsyncGenerator<string, void, undefined> {
  yield* texts;
  for (const file of files) {
    const stream: Readable = file === "-" ? addAbortSignal(signal, stdin) : await openTextFile(file, signal);
    const name = file === "-" ? "stdin" : file;
    const lines = readTextLines(stream, name);
    const isJsonl = flags.jsonl === true || flags.field !== undefined || /\.(jsonl|ndjson)$/i.test(file);
    yield* isJsonl ? readJsonlField(lines, name, flags.field ?? "text") : plainTexts(lines);
  }
}

/** All texts of one file, with or without JSONL by its name. */
export async function readAllTexts(file: string, context: CliContext): Promise<string[]> {
  const texts: string[] = [];
  for await (const text of await planTexts([], { file: [file] }, context)) texts.push(text);
  return texts;
}

async function* plainTexts(lines: AsyncIterable<TextLine>): AsyncGenerator<string, void, undefined> {
  for await (const { text } of lines) yield text;
}

function isFile(text: string): boolean {
  try {
    return statSync(text).isFile();
  } catch {
    return false; // a sentence is no path: too long, through a file, with a NUL
  }
}

/** A text that names a file is most likely meant as the file: says so on stderr, and embeds the text. */
export function hintAtFiles(texts: readonly string[], { stderr }: CliContext): void {
  for (const text of texts.slice(0, 8)) {
    if (!isFile(text)) continue;
    stderr.write(
      `oneword: "${text}" is taken as a text, though a file has that name; --file ${text} reads its lines.\n`,
    );
  }
}
