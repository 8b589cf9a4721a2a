import { basename } from "node:path";
import { InputError } from "../errors.ts";
import { readVectors } from "../files/vector-reader.ts";
import { quotedStart, type VectorSource } from "./vector-source.ts";

/**
 * Vectors that something else made: named by text, or in the order of the distinct texts, as `oneword data texts` prints
 * them.
 * @param distinctTexts  in that order
 * @throws InputError "bad-row" for another number of rows than texts
 */
export async function fileSource(file: string, distinctTexts: readonly string[]): Promise<VectorSource> {
  const { vectors, texts } = await readVectors(file);
  if (!texts && vectors.length !== distinctTexts.length) {
    const advice = 'Embed the lines of "oneword data texts" with the same --tasks and --data, one row for each.';
    throw new InputError(
      "bad-row",
      `${file}: ${vectors.length} vectors, but the tasks have ${distinctTexts.length} distinct texts. ${advice}`,
    );
  }
  const byText = new Map((texts ?? distinctTexts).map((text, i) => [text, vectors[i]!]));
  return {
    name: basename(file),
    id: null,
    async embed(asked) {
      return asked.map((text) => {
        const embedding = byText.get(text);
        if (embedding) return { embedding, isTruncated: false };
        throw new InputError("bad-row", `${file}: no vector for the text ${quotedStart(text)}.`);
      });
    },
  };
}
