import { InputError } from "../errors.ts";
import { maxFloat32Bytes, writeFloat32 } from "./float-text.ts";
import { kindOf, parseJsonObject } from "./json.ts";
import type { RowEncoder } from "./row-buffer.ts";
import type { TextLine } from "./text-lines.ts";

/**
 * The text in one field of each line's JSON object. Empty lines may stand at the end only.
 * @throws InputError "bad-json" for a line that is no JSON object; "missing-field" when the field
 *   is absent or not a string; both begin with `name:lineNumber`
 */
export async function* readJsonlField(
  lines: AsyncIterable<TextLine>,
  name: string,
  field: string,
): AsyncGenerator<string, void, undefined> {
  let emptyLine = 0;
  for await (const { text, lineNumber } of lines) {
    if (text.trim() === "") emptyLine ||= lineNumber;
    else if (emptyLine > 0)
      throw new InputError("bad-json", `${name}:${emptyLine}: an empty line between JSON objects.`);
    else yield fieldOf(text, `${name}:${lineNumber}`, field);
  }
}

function fieldOf(line: string, where: string, field: string): string {
  const advice = `Each line has to be one, such as {"${field}": "…"}.`;
  const json = parseJsonObject(
    line,
    (what, cause) => new InputError("bad-json", `${where}: ${what}. ${advice}`, { cause }),
  );
  const value = Object.hasOwn(json, field) ? json[field] : undefined;
  if (typeof value === "string") return value;
  const found =
    value === undefined
      ? `no field "${field}"; the line has ${fieldNames(json)}`
      : `field "${field}" is ${kindOf(value)}, not a string`;
  throw new InputError("missing-field", `${where}: ${found}. Name the text's field with --field.`);
}

function fieldNames(json: object): string {
  const names = Object.keys(json);
  const shown = names.slice(0, 8).map((name) => JSON.stringify(name));
  return names.length === 0 ? "none" : shown.join(", ") + (names.length > shown.length ? ", …" : "");
}

/** `{"index":0,"embedding":[0.25,-1],"recipe":"2d20057c1a21ac50"}`, one row a line. */
export function jsonlRows(hiddenSize: number, recipeId: string): RowEncoder {
  const end = Buffer.from(`],"recipe":${JSON.stringify(recipeId)}}\n`);
  const middle = Buffer.from(',"embedding":[');
  const start = Buffer.from('{"index":');
  return {
    maxRowBytes: hiddenSize * (maxFloat32Bytes + 1) + 64 + end.length,
    encode(index, embedding, bytes, offset) {
      let at = offset + start.copy(bytes, offset);
      at += bytes.write(String(index), at, "latin1");
      at += middle.copy(bytes, at);
      for (let i = 0; i < embedding.length; i++) {
        if (i > 0) bytes[at++] = 44; // ,
        at = writeFloat32(embedding[i]!, bytes, at);
      }
      return at + end.copy(bytes, at);
    },
  };
}
