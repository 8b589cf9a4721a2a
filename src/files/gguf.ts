import { resolve } from "node:path";
import { ModelError } from "../errors.ts";
import { readAt, withFile } from "./read-at.ts";
import type { StorageType, TensorEntry, TensorIndex } from "./tensor-index.ts";
import { blockSizes, checkRanges, corrupt, countElements, quote, showShape } from "./tensor-layout.ts";

/** Metadata and tensor table of a GGUF file; the weights stay on disk. */
export interface Gguf {
  /** Without a prototype, so that no key of the file can be taken for one of ours. */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensors: TensorIndex;
}

/** ggml_type numbers of the types we read (ggml.h). */
const tensorTypes: Readonly<Record<number, StorageType>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  6: "Q5_0",
  7: "Q5_1",
  8: "Q8_0",
  12: "Q4_K",
  13: "Q5_K",
  14: "Q6_K",
  30: "BF16",
};

const firstChunk = 4 << 20; // the head of a model with 50,000 tokens takes 2 MB
const maxHeadBytes = 256 << 20; // a vocabulary of a million tokens with its merges takes 50 MB
const maxValues = 4 << 20; // a byte in the file may be 8 in memory; a vocabulary of 260,000 with its merges takes 1.3 million
const maxTensors = 1 << 20;

/**
 * Reads the head of a GGUF file, version 2 or 3, little endian. Every length in it is checked against the size of the
 * file before anything is allocated. (A parser of our own, because @huggingface/gguf takes three times as long for the
 * default model's 2 MB of vocabulary, reads beyond the end of a cut file, and gives no byte lengths.)
 * @throws ModelError "corrupt-file", or "unsupported-type" for a version or a tensor type we do not read
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export function readGguf(file: string): Promise<Gguf> {
  const path = resolve(file);
  return withFile(path, async (handle, size) => {
    const most = Math.min(size, maxHeadBytes);
    for (let length = Math.min(firstChunk, most); ; length = Math.min(length * 4, most)) {
      try {
        return parseHead(new Cursor(await readAt(handle, 0, length), size, path), size, path);
      } catch (error) {
        if (!(error instanceof HeadTooShort)) throw error;
        if (length === most) throw corrupt(path, `its head does not end within ${length} bytes.`);
      }
    }
  });
}

function parseHead(cursor: Cursor, size: number, file: string): Gguf {
  if (size < 24 || cursor.u32() !== 0x46554747) {
    throw corrupt(file, "this is no GGUF file: it does not begin with GGUF and a header of 24 bytes.");
  }
  const version = cursor.u32();
  if (version !== 2 && version !== 3) {
    const bigEndian = version === 2 << 24 || version === 3 << 24;
    throw new ModelError(
      "unsupported-type",
      `${file}: ${bigEndian ? "big-endian GGUF" : `GGUF version ${version}`} is not supported; supported: little-endian versions 2 and 3. Convert the model again.`,
    );
  }
  const tensorCount = cursor.count("the number of tensors");
  const valueCount = cursor.count("the number of metadata values");
  if (tensorCount > maxTensors) throw corrupt(file, `${tensorCount} tensors are impossible.`);
  const metadata = readMetadata(cursor, valueCount, file);
  const infos: TensorEntry[] = [];
  for (let i = 0; i < tensorCount; i++) infos.push(readInfo(cursor, file));
  const alignment = metadata["general.alignment"] ?? 32;
  if (typeof alignment !== "number" || !isPowerOfTwo(alignment)) {
    throw corrupt(file, "general.alignment is not a power of two.");
  }
  const dataStart = Math.ceil(cursor.at / alignment) * alignment;
  const tensors = placeTensors(infos, dataStart, alignment, file);
  checkRanges([...tensors.values()], size, file);
  return { metadata, tensors };
}

function readMetadata(cursor: Cursor, count: number, file: string): Record<string, unknown> {
  const metadata: Record<string, unknown> = Object.create(null);
  for (let i = 0; i < count; i++) {
    const key = cursor.string();
    if (key in metadata) throw corrupt(file, `the metadata has ${quote(key)} twice.`);
    metadata[key] = cursor.value(cursor.u32());
  }
  const parts = metadata["split.count"];
  if (typeof parts === "number" && parts > 1) {
    throw new ModelError(
      "unsupported-type",
      `${file} is one of ${parts} parts of a model. Join them first: llama-gguf-split --merge <first part> <output>.`,
    );
  }
  return metadata;
}

function readInfo(cursor: Cursor, file: string): TensorEntry {
  const name = cursor.string();
  const rank = cursor.u32();
  if (rank > 4) throw corrupt(file, `${quote(name)} has ${rank} dimensions; GGUF allows 4.`);
  const shape = Array.from({ length: rank }, () => cursor.count(`a dimension of ${quote(name)}`)).reverse(); // GGUF has the innermost first
  const number = cursor.u32();
  const type = tensorTypes[number];
  if (!type) {
    const known = Object.values(tensorTypes).join(", ");
    throw new ModelError(
      "unsupported-type",
      `${file}: ${quote(name)} is of ggml type ${number}, which is not supported; supported: ${known}. Take another quantisation of the model.`,
    );
  }
  const offset = cursor.count(`the offset of ${quote(name)}`);
  const { bytes, weights } = blockSizes[type];
  const elements = countElements(shape, file, name);
  if ((shape.at(-1) ?? 1) % weights !== 0) {
    throw corrupt(file, `${quote(name)}, ${type} ${showShape(shape)}, is not made of whole blocks of ${weights}.`);
  }
  return { name, type, shape, file, offset, length: (elements / weights) * bytes };
}

/** @param infos  with offsets from the beginning of the data, as the file has them */
function placeTensors(
  infos: readonly TensorEntry[],
  dataStart: number,
  alignment: number,
  file: string,
): Map<string, TensorEntry> {
  const tensors = new Map<string, TensorEntry>();
  for (const info of infos) {
    if (tensors.has(info.name)) throw corrupt(file, `${quote(info.name)} is there twice.`);
    if (info.offset % alignment !== 0) {
      throw corrupt(file, `${quote(info.name)} begins at ${info.offset}, which is no multiple of ${alignment}.`);
    }
    tensors.set(info.name, { ...info, offset: dataStart + info.offset });
  }
  return tensors;
}

const isPowerOfTwo = (value: number): boolean =>
  Number.isInteger(value) && value > 0 && Number.isInteger(Math.log2(value));

/** Not an error of the file: more of it must be read. */
class HeadTooShort extends Error {}

/** Reads values one after the other, never beyond the bytes it has. */
class Cursor {
  readonly #bytes: Buffer;
  readonly #fileSize: number;
  readonly #file: string;
  #values = 0;
  at = 0;

  constructor(bytes: Buffer, fileSize: number, file: string) {
    this.#bytes = bytes;
    this.#fileSize = fileSize;
    this.#file = file;
  }

  #take(length: number): number {
    const from = this.at;
    const missing = from + length - this.#fileSize;
    if (missing > 0) throw corrupt(this.#file, `${missing} bytes of its head are missing. The download was cut.`);
    if (from + length > this.#bytes.length) throw new HeadTooShort();
    this.at = from + length;
    return from;
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  /** A 64-bit count; it must be a size that a file can have. */
  count(what: string): number {
    const value = this.u32() + this.u32() * 2 ** 32;
    if (!Number.isSafeInteger(value)) throw corrupt(this.#file, `${what} is ${value}, which no file can hold.`);
    return value;
  }

  string(): string {
    const length = this.count("the length of a string");
    const from = this.#take(length);
    return this.#bytes.toString("utf8", from, from + length);
  }

  /** @param type  a gguf_metadata_value_type number */
  value(type: number, depth = 0): unknown {
    if (++this.#values > maxValues) throw corrupt(this.#file, `its metadata have over ${maxValues} values.`);
    switch (type) {
      case 0:
        return this.#bytes.readUInt8(this.#take(1));
      case 1:
        return this.#bytes.readInt8(this.#take(1));
      case 2:
        return this.#bytes.readUInt16LE(this.#take(2));
      case 3:
        return this.#bytes.readInt16LE(this.#take(2));
      case 4:
        return this.u32();
      case 5:
        return this.#bytes.readInt32LE(this.#take(4));
      case 6:
        return this.#bytes.readFloatLE(this.#take(4));
      case 7:
        return this.#bytes.readUInt8(this.#take(1)) !== 0;
      case 8:
        return this.string();
      case 9:
        return this.#array(depth);
      case 10:
        return exact(this.#bytes.readBigUInt64LE(this.#take(8)));
      case 11:
        return exact(this.#bytes.readBigInt64LE(this.#take(8)));
      case 12:
        return this.#bytes.readDoubleLE(this.#take(8));
      default:
        throw corrupt(this.#file, `the metadata value before byte ${this.at} is of the unknown type ${type}.`);
    }
  }

  #array(depth: number): unknown[] {
    if (depth === 4) throw corrupt(this.#file, "metadata arrays are nested too deep.");
    const type = this.u32();
    const length = this.count("the length of an array");
    if (length > this.#fileSize - this.at) {
      throw corrupt(this.#file, `an array of ${length} values does not fit in it.`);
    }
    if (length > maxValues - this.#values) throw corrupt(this.#file, `its metadata have over ${maxValues} values.`);
    const values: unknown[] = [];
    for (let i = 0; i < length; i++) values.push(this.value(type, depth + 1));
    return values;
  }
}

const exact = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value);
