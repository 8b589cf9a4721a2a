import { readFile } from "node:fs/promises";
import { endianness } from "node:os";
import { InputError } from "../errors.ts";
import { parseJsonObject } from "./json.ts";
import { checkTextFile, openTextFile, readTextLines } from "./text-lines.ts";

/** Vectors of a file in order, with their texts where the file names them. */
export interface ReadVectors {
  readonly vectors: readonly Float32Array[];
  /** As many as vectors, or null. */
  readonly texts: readonly string[] | null;
}

/**
 * Reads a `.npy` matrix (float32 or float64, [rows, hiddenSize]) or JSON lines `{"embedding":[…]}`, with a `text` on every
 * line or on none.
 * @throws InputError "file-not-found"; "bad-row" with the place; "bad-option" for another extension
 */
export async function readVectors(file: string): Promise<ReadVectors> {
  if (/\.npy$/i.test(file)) return { vectors: await readNpy(file), texts: null };
  if (/\.(jsonl|ndjson)$/i.test(file)) return readJsonl(file);
  throw new InputError("bad-option", `${file}: vectors are read from .npy and .jsonl files. Convert it first.`);
}

/** @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
async function readNpy(file: string): Promise<Float32Array[]> {
  await checkTextFile(file);
  const bytes = await readFile(file);
  const isNpy = bytes.length > 12 && bytes.toString("latin1", 0, 6) === "\x93NUMPY";
  const [start, length] = !isNpy ? [0, 0] : bytes[6] === 1 ? [10, bytes.readUInt16LE(8)] : [12, bytes.readUInt32LE(8)];
  const header = bytes.toString("latin1", start, start + length);
  const type = /'descr': '<f([48])'/.exec(header)?.[1];
  const [, rows, width] = /'shape': \((\d+), (\d+)\)/.exec(header) ?? [];
  if (!type || !rows || !width || header.includes("'fortran_order': True")) {
    const found = isNpy ? header.trim() : "no NumPy file";
    throw new InputError("bad-row", `${file}: must be a matrix of little-endian float32 or float64, but is ${found}.`);
  }
  const [count, size, itemBytes] = [Number(rows), Number(width), Number(type)];
  const data = bytes.subarray(start + length);
  if (data.length !== count * size * itemBytes) {
    throw new InputError(
      "bad-row",
      `${file}: [${count}, ${size}] needs ${count * size * itemBytes} bytes of data, but has ${data.length}.`,
    );
  }
  const own = Buffer.from(data);
  if (endianness() === "BE") itemBytes === 4 ? own.swap32() : own.swap64();
  const buffer = own.buffer.slice(own.byteOffset, own.byteOffset + own.length); // aligned
  const values = itemBytes === 4 ? new Float32Array(buffer) : Float32Array.from(new Float64Array(buffer));
  return Array.from({ length: count }, (_, row) => values.subarray(row * size, (row + 1) * size));
}

async function readJsonl(file: string): Promise<ReadVectors> {
  const vectors: Float32Array[] = [];
  const texts: string[] = [];
  for await (const { text: line, lineNumber } of readTextLines(await openTextFile(file), file)) {
    if (line.trim() === "") continue;
    const { embedding, text } = parseLine(line, `${file}:${lineNumber}`);
    if (vectors.length > 0 && embedding.length !== vectors[0]!.length) {
      throw new InputError(
        "bad-row",
        `${file}:${lineNumber}: ${embedding.length} numbers, but ${vectors[0]!.length} before.`,
      );
    }
    vectors.push(embedding);
    if (text !== undefined) texts.push(text);
    if (texts.length !== 0 && texts.length !== vectors.length) {
      throw new InputError("bad-row", `${file}:${lineNumber}: "text" must be on every line or on none.`);
    }
  }
  return { vectors, texts: texts.length > 0 ? texts : null };
}

function parseLine(
  line: string,
  where: string,
): { readonly embedding: Float32Array; readonly text: string | undefined } {
  const { embedding: values, text } = parseJsonObject(
    line,
    (what, cause) => new InputError("bad-row", `${where}: ${what}.`, { cause }),
  );
  if (Array.isArray(values) && values.length > 0 && values.every((value) => Number.isFinite(value))) {
    return { embedding: Float32Array.from(values), text: typeof text === "string" ? text : undefined };
  }
  throw new InputError("bad-row", `${where}: "embedding" must be a list of numbers.`);
}
