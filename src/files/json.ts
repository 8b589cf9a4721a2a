import { readFile } from "node:fs/promises";

/** Fields that nobody has looked at yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Makes the error of what is wrong: `not JSON (…)`, `a list, not a JSON object`, `no such file`. */
export type JsonProblem = (what: string, cause?: unknown) => Error;

export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** @throws what `problem` makes, for a text that is no JSON object */
export function parseJsonObject(text: string, problem: JsonProblem): JsonObject {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw problem(`not JSON (${(cause as Error).message.replace(/\s+/g, " ")})`, cause);
  }
  if (isJsonObject(json)) return json;
  throw problem(`${kindOf(json)}, not a JSON object`);
}

/** The JSON object in a file of UTF-8, with or without a byte order mark. @throws what `problem` makes */
export async function readJsonObject(file: string, problem: JsonProblem): Promise<JsonObject> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException;
    throw problem(code === "ENOENT" ? "no such file" : `cannot be read (${code ?? String(cause)})`, cause);
  });
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw problem("not UTF-8", cause);
  }
  return parseJsonObject(text, problem);
}

/** What a value of JSON is, for messages. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
