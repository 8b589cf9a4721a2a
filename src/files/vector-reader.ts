import { endianness } from "node:os";
import { InputError } from "../errors.ts";
import { parseJsonObject } from "./json.ts";
import { readAt, withFile } from "./read-at.ts";
import { checkTextFile, openTextFile, readTextLines } from "./text-lines.ts";

/** Vectors of a file in order, or in that of their `index` where every line has one, with their texts where the file names them. */
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

/** Bytes that are read at a time; a file may be larger than any buffer. */
const partBytes = 64 * 1024 * 1024;

/** @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
async function readNpy(file: string): Promise<Float32Array[]> {
  await checkTextFile(file);
  return withFile(file, async (handle, fileBytes) => {
    const head = await readAt(handle, 0, 12);
    const isNpy = head.length === 12 && head.toString("latin1", 0, 6) === "\x93NUMPY";
    const [start, length] = !isNpy ? [0, 0] : head[6] === 1 ? [10, head.readUInt16LE(8)] : [12, head.readUInt32LE(8)];
    const header = (await readAt(handle, start, Math.min(length, 65_536))).toString("latin1");
    const type = /'descr': '<f([48])'/.exec(header)?.[1];
    const [, rows, width] = /'shape': \((\d+), (\d+)\)/.exec(header) ?? [];
    if (!type || !rows || !width || header.includes("'fortran_order': True")) {
      const found = isNpy ? header.trim() : "no NumPy file";
      throw new InputError(
        "bad-row",
        `${file}: must be a matrix of little-endian float32 or float64, but is ${found}.`,
      );
    }
    const [count, size, itemBytes] = [Number(rows), Number(width), Number(type)];
    const [needed, found] = [count * size * itemBytes, fileBytes - start - length];
    if (found !== needed) {
      throw new InputError("bad-row", `${file}: [${count}, ${size}] needs ${needed} bytes of data, but has ${found}.`);
    }
    const vectors: Float32Array[] = [];
    const rowBytes = size * itemBytes;
    const rowsAtOnce = Math.max(1, Math.floor(partBytes / Math.max(1, rowBytes)));
    for (let row = 0; row < count; row += rowsAtOnce) {
      const some = Math.min(rowsAtOnce, count - row);
      const values = toFloats(await readAt(handle, start + length + row * rowBytes, some * rowBytes), itemBytes);
      for (let i = 0; i < some; i++) vectors.push(values.subarray(i * size, (i + 1) * size));
    }
    return vectors;
  });
}

function toFloats(data: Buffer, itemBytes: number): Float32Array {
  if (endianness() === "BE") itemBytes === 4 ? data.swap32() : data.swap64();
  const buffer = data.buffer.slice(data.byteOffset, data.byteOffset + data.length); // aligned
  return itemBytes === 4 ? new Float32Array(buffer) : Float32Array.from(new Float64Array(buffer));
}

async function readJsonl(file: string): Promise<ReadVectors> {
  const vectors: Float32Array[] = [];
  const texts: string[] = [];
  const places: number[] = [];
  for await (const { text: line, lineNumber } of readTextLines(await openTextFile(file), file)) {
    if (line.trim() === "") continue;
    const { embedding, text, index } = parseLine(line, `${file}:${lineNumber}`);
    if (index !== undefined) places.push(index);
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
  return { vectors: texts.length > 0 ? vectors : inPlace(vectors, places), texts: texts.length > 0 ? texts : null };
}

/** In the order of their indexes, where they are those of all rows, as `embed` writes them; else as they come. */
function inPlace(vectors: readonly Float32Array[], places: readonly number[]): readonly Float32Array[] {
  const isRow = (place: number): boolean => place >= 0 && place < vectors.length;
  const isWhole = places.length === vectors.length && new Set(places).size === vectors.length && places.every(isRow);
  if (!isWhole) return vectors;
  const ordered = new Array<Float32Array>(vectors.length);
  for (const [row, place] of places.entries()) ordered[place] = vectors[row]!;
  return ordered;
}

function parseLine(
  line: string,
  where: string,
): { readonly embedding: Float32Array; readonly text: string | undefined; readonly index: number | undefined } {
  const {
    embedding: values,
    text,
    index,
  } = parseJsonObject(line, (what, cause) => new InputError("bad-row", `${where}: ${what}.`, { cause }));
  if (Array.isArray(values) && values.length > 0 && values.every((value) => Number.isFinite(value))) {
    return {
      embedding: Float32Array.from(values),
      text: typeof text === "string" ? text : undefined,
      index: Number.isSafeInteger(index) ? (index as number) : undefined,
    };
  }
  throw new InputError("bad-row", `${where}: "embedding" must be a list of numbers.`);
}
