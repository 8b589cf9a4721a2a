import { createReadStream } from "node:fs";
import { fileURLToPath } from "node:url";
import { InputError } from "../errors.ts";
import { type JsonProblem, parseJsonObject } from "../files/json.ts";
import { checkTextFile, readTextLines } from "../files/text-lines.ts";
import { readTsvColumns } from "../files/tsv.ts";
import type { Demonstration } from "../text/recipe.ts";

/** The paper's 300 candidates (arXiv 2307.16645), which come with the package; as far from src/recipes as from dist/recipes. */
export const packagedDemonstrations = fileURLToPath(new URL("../../data/demonstrations.tsv", import.meta.url));

/**
 * Reads demonstrations: by its name a `.jsonl` or `.ndjson` file of objects with `sentence` and `word`, or a tab-separated
 * one, perhaps `.gz`, whose first line names these columns; other fields are left alone.
 * @throws InputError "bad-row" or "bad-json" with file and line
 */
export async function readDemonstrations(file: string): Promise<Demonstration[]> {
  const rows = /\.(jsonl|ndjson)$/i.test(file) ? jsonlRows(file) : tsvRows(file);
  const demonstrations: Demonstration[] = [];
  for await (const { sentence, word, where } of rows) {
    if (sentence.trim() === "" || word.trim() === "") {
      throw new InputError("bad-row", `${where}: "sentence" or "word" is empty. Take the row out.`);
    }
    demonstrations.push({ sentence, word });
  }
  if (demonstrations.length > 0) return demonstrations;
  throw new InputError("bad-row", `${file}: holds no demonstration.`);
}

interface Row extends Demonstration {
  readonly where: string;
}

async function* tsvRows(file: string): AsyncGenerator<Row, void, undefined> {
  for await (const { fields, where } of readTsvColumns(file, ["sentence", "word"])) {
    yield { sentence: fields[0]!, word: fields[1]!, where };
  }
}

async function* jsonlRows(file: string): AsyncGenerator<Row, void, undefined> {
  await checkTextFile(file);
  for await (const { text, lineNumber } of readTextLines(createReadStream(file), file)) {
    if (text.trim() === "") continue;
    const where = `${file}:${lineNumber}`;
    const problem: JsonProblem = (what, cause) => new InputError("bad-json", `${where}: ${what}.`, { cause });
    const { sentence, word } = parseJsonObject(text, problem);
    if (typeof sentence !== "string" || typeof word !== "string") {
      throw new InputError("bad-json", `${where}: needs the strings "sentence" and "word".`);
    }
    yield { sentence, word, where };
  }
}
