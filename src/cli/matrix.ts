import { cosineSimilarity } from "../embed/pooling.ts";

export const matrixFormats = ["text", "tsv", "json"] as const;
export type MatrixFormat = (typeof matrixFormats)[number];

export interface EmbeddedText {
  readonly text: string;
  readonly embedding: Float32Array;
}

/** Six digits after the point; never `-0.000000`. */
export function cosineText(cosine: number): string {
  const text = cosine.toFixed(6);
  return text === "-0.000000" ? "0.000000" : text;
}

/** The cosines of all pairs, given out row by row. */
export function matrixText(
  rows: readonly EmbeddedText[],
  format: MatrixFormat,
): AsyncGenerator<string, void, undefined> {
  return { text: alignedText, tsv: tabSeparated, json: jsonText }[format](rows);
}

function cosinesOf(row: EmbeddedText, rows: readonly EmbeddedText[]): string[] {
  return rows.map((other) => cosineText(cosineSimilarity(row.embedding, other.embedding)));
}

const cellWidth = 9; // -0.123456
const maxLabelLength = 60;

/** Numbered rows and columns; each row ends with the beginning of its text. */
async function* alignedText(rows: readonly EmbeddedText[]): AsyncGenerator<string, void, undefined> {
  const numberWidth = String(rows.length).length;
  const cells = (texts: readonly string[]): string => texts.map((text) => `  ${text.padStart(cellWidth)}`).join("");
  yield `${" ".repeat(numberWidth)}${cells(rows.map((_, i) => String(i + 1)))}\n`;
  for (const [i, row] of rows.entries()) {
    yield `${String(i + 1).padStart(numberWidth)}${cells(cosinesOf(row, rows))}  ${label(row.text)}\n`;
  }
}

function label(text: string): string {
  const characters = [
    ...text
      .slice(0, 4 * maxLabelLength)
      .replace(/[\s\p{Cc}]+/gu, " ")
      .trim(),
  ];
  return characters.length > maxLabelLength
    ? `${characters.slice(0, maxLabelLength - 1).join("")}…`
    : characters.join("");
}

/** First line and first column: the texts, quoted where they hold a tab, a quote or a line break. */
async function* tabSeparated(rows: readonly EmbeddedText[]): AsyncGenerator<string, void, undefined> {
  const { stringify } = await import("csv-stringify/sync");
  const line = (cells: readonly string[]): string => stringify([cells as string[]], { delimiter: "\t" });
  yield line(["text", ...rows.map(({ text }) => text)]);
  for (const row of rows) yield line([row.text, ...cosinesOf(row, rows)]);
}

/** `{"texts":[…],"similarity":[[…],…]}`, one matrix row a line. */
async function* jsonText(rows: readonly EmbeddedText[]): AsyncGenerator<string, void, undefined> {
  yield `{"texts":${JSON.stringify(rows.map(({ text }) => text))},"similarity":[`;
  for (const [i, row] of rows.entries()) yield `${i > 0 ? "," : ""}\n[${cosinesOf(row, rows).join(",")}]`;
  yield "\n]}\n";
}
