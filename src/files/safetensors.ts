import { dirname, join, resolve } from "node:path";
import { ModelError } from "../errors.ts";
import { readAt, withFile } from "./read-at.ts";
import type { FloatType, TensorEntry, TensorIndex } from "./tensor-index.ts";
import { checkRanges, corrupt, countElements, quote, showShape } from "./tensor-layout.ts";

const maxHeaderBytes = 100_000_000; // the limit of the format's own library

/** Bits of an element, by the format's dtype names. */
const dtypeBits: Readonly<Record<string, number>> = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
};
const isFloat = (dtype: string): dtype is FloatType => dtype === "F32" || dtype === "F16" || dtype === "BF16";

/**
 * Reads the header of a safetensors file; the data stay on disk.
 * @returns the F32, F16 and BF16 tensors; others are checked and left out
 * @throws ModelError "corrupt-file" for anything the format does not allow, "unsupported-type" for an unknown dtype
 * @see https://github.com/huggingface/safetensors#format
 */
export async function readSafetensors(file: string): Promise<TensorIndex> {
  return (await readContents(resolve(file))).index;
}

/** The same for a file whose every tensor is to be used. @throws ModelError "unsupported-type" naming one that is in no such floats */
export async function readFloatSafetensors(file: string): Promise<TensorIndex> {
  const { names, index } = await readContents(resolve(file));
  for (const name of names) {
    if (index.has(name)) continue;
    throw new ModelError("unsupported-type", `${file}: ${quote(name)} is not in F32, F16 or BF16. Convert the file.`);
  }
  return index;
}

/** The strings under `__metadata__`. @throws ModelError as readSafetensors */
export async function readMetadata(file: string): Promise<Readonly<Record<string, string>>> {
  return (await readContents(resolve(file))).metadata;
}

interface Contents {
  readonly metadata: Readonly<Record<string, string>>;
  /** Every tensor there is, of whatever dtype. */
  readonly names: ReadonlySet<string>;
  readonly index: TensorIndex;
}

function readContents(file: string): Promise<Contents> {
  return withFile(file, async (handle, size) => {
    const head = await readAt(handle, 0, 8);
    if (head.length < 8) throw corrupt(file, `${size} bytes are too few for a safetensors file.`);
    const headerBytes = Number(head.readBigUInt64LE());
    if (headerBytes === 0 || headerBytes > maxHeaderBytes) {
      throw corrupt(file, `this is no safetensors file: a header of ${headerBytes} bytes is impossible.`);
    }
    const dataStart = 8 + headerBytes;
    if (dataStart > size) {
      throw corrupt(file, `${dataStart - size} bytes of its header are missing. The download was cut.`);
    }
    const header = parseJsonObject(await readAt(handle, 8, headerBytes), file, "its header");
    return readEntries(header, file, dataStart, size);
  });
}

function parseJsonObject(bytes: Buffer, file: string, what: string): Record<string, unknown> {
  const text = decodeUtf8(bytes);
  if (text === null) throw corrupt(file, `${what} is not UTF-8.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw corrupt(file, `${what} is not JSON.`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw corrupt(file, `${what} is not a JSON object.`);
}

function decodeUtf8(bytes: Buffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

function readEntries(header: Record<string, unknown>, file: string, dataStart: number, size: number): Contents {
  const names = new Set<string>();
  const index = new Map<string, TensorEntry>();
  const ranges: { name: string; offset: number; length: number }[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, begin, end } = readEntry(value, name, file);
    const bytes = (countElements(shape, file, name) * dtypeBits[dtype]!) / 8;
    const range = { name, offset: dataStart + begin, length: end - begin };
    if (range.length !== bytes) {
      throw corrupt(
        file,
        `${quote(name)}, ${dtype} ${showShape(shape)}, needs ${bytes} bytes, but its offsets span ${range.length}.`,
      );
    }
    names.add(name);
    ranges.push(range);
    if (isFloat(dtype)) index.set(name, { ...range, type: dtype, shape, file });
  }
  checkNoGaps(checkRanges(ranges, size, file), file, dataStart, size);
  return { metadata: (header.__metadata__ ?? {}) as Record<string, string>, names, index };
}

/** The format allows no byte that belongs to no tensor. */
function checkNoGaps(
  sorted: readonly { name: string; offset: number; length: number }[],
  file: string,
  dataStart: number,
  size: number,
): void {
  let end = dataStart;
  for (const { name, offset, length } of sorted) {
    if (offset > end) throw corrupt(file, `${offset - end} bytes before ${quote(name)} belong to no tensor.`);
    end = offset + length;
  }
  if (end < size) throw corrupt(file, `${size - end} bytes at its end belong to no tensor.`);
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function readEntry(value: unknown, name: string, file: string): HeaderEntry {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
  if (typeof dtype !== "string" || !Array.isArray(shape) || !Array.isArray(offsets) || offsets.length !== 2) {
    throw corrupt(file, `the header's entry for ${quote(name)} is not { dtype, shape, data_offsets: [begin, end] }.`);
  }
  if (!Object.hasOwn(dtypeBits, dtype)) {
    throw new ModelError(
      "unsupported-type",
      `${file}: ${quote(name)} has the unknown dtype ${quote(dtype)}; supported: F32, F16, BF16. Convert the checkpoint.`,
    );
  }
  const [begin, end] = offsets as unknown[];
  if (!isOffset(begin) || !isOffset(end) || begin > end) {
    throw corrupt(file, `${quote(name)} has the impossible data_offsets ${showShape(offsets)}.`);
  }
  return { dtype, shape, begin, end };
}

const isOffset = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

/**
 * Reads the headers of all shards that a model.safetensors.index.json names.
 * @throws ModelError as readSafetensors, and "corrupt-file" where the index and its shards do not agree
 */
export async function readSafetensorsIndex(indexFile: string): Promise<TensorIndex> {
  const path = resolve(indexFile);
  const bytes = await withFile(path, (handle, size) => readAt(handle, 0, Math.min(size, maxHeaderBytes)));
  const shardOf = parseIndex(bytes, path);
  const index = new Map<string, TensorEntry>();
  const placed = new Map<string, string>();
  for (const shard of new Set(shardOf.values())) {
    const contents = await readContents(join(dirname(path), shard));
    for (const name of contents.names) {
      const other = placed.get(name);
      if (other !== undefined) throw corrupt(path, `${quote(name)} is in two shards, ${other} and ${shard}.`);
      placed.set(name, shard);
    }
    for (const [name, entry] of contents.index) index.set(name, entry);
  }
  for (const [name, shard] of shardOf) {
    const actual = placed.get(name) ?? "no shard";
    if (actual !== shard) throw corrupt(path, `${quote(name)} should be in ${shard}, but is in ${actual}.`);
  }
  return index;
}

/**
 * @returns tensor name -> shard file name, checked to be a plain name: no path leads out of the index's folder
 * @throws ModelError "corrupt-file"
 */
export function parseIndex(bytes: Buffer, indexFile: string): Map<string, string> {
  const { weight_map: weightMap } = parseJsonObject(bytes, indexFile, "it");
  if (typeof weightMap !== "object" || weightMap === null || Array.isArray(weightMap)) {
    throw corrupt(indexFile, 'it has no "weight_map".');
  }
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(weightMap as Record<string, unknown>)) {
    if (typeof shard !== "string" || !/^\w[\w.-]*$/.test(shard)) {
      const shown = typeof shard === "string" ? quote(shard) : `a ${typeof shard}`;
      throw corrupt(indexFile, `${quote(name)} is placed in ${shown}, which is no plain file name beside the index.`);
    }
    shardOf.set(name, shard);
  }
  if (shardOf.size === 0) throw corrupt(indexFile, 'its "weight_map" is empty.');
  return shardOf;
}
