import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readdir } from "node:fs/promises";
import { endianness } from "node:os";
import { join } from "node:path";
import { CapacityError, InputError } from "../errors.ts";
import { isDiskFull } from "./disk-full.ts";
import { readAt } from "./read-at.ts";

const magic = "ONEWORD1";
/** Magic, then the length of every vector as uint32. */
const headerBytes = 12;
const keyBytes = 16;
const checkBytes = 8;
const readRecords = 512;

/** One vector and the text's name. */
export interface KeyedVector {
  readonly key: string;
  readonly vector: Float32Array;
}

/** The beginning of a text's sha256 in hexadecimal, which stands for it. */
export const textKey = (text: string): string =>
  createHash("sha256")
    .update(text)
    .digest("hex")
    .slice(0, 2 * keyBytes);

/**
 * A folder of vectors by text. Every writer appends to a segment of its own, so that none waits for another, and a record
 * that was cut or damaged is as if it were not there: records have a fixed size and carry a check.
 */
export class VectorSegments {
  readonly #folder: string;
  #segment: { readonly handle: FileHandle; readonly hiddenSize: number } | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Every good record whose key `isWanted`. */
  async *read(isWanted: (key: string) => boolean): AsyncGenerator<KeyedVector, void, undefined> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names.filter((name) => name.endsWith(".vectors")).sort()) {
      const handle = await open(join(this.#folder, name)).catch(() => null);
      if (!handle) continue; // removed meanwhile, or not ours to read: computed again
      try {
        yield* readSegment(handle, isWanted);
      } finally {
        await handle.close();
      }
    }
  }

  /** @param vectors  all of one length @throws CapacityError "disk-full", InputError "bad-option" where nothing can be kept */
  async append(vectors: readonly KeyedVector[]): Promise<void> {
    if (vectors.length === 0) return;
    try {
      const { handle } = await this.#open(vectors[0]!.vector.length);
      await handle.appendFile(Buffer.concat(vectors.map(encodeRecord)));
    } catch (cause) {
      const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
      const what = `${this.#folder}: vectors cannot be kept (${reason})`;
      const advice = "set ONEWORD_CACHE to another folder; --no-cache keeps nothing.";
      if (isDiskFull(cause)) throw new CapacityError("disk-full", `${what}. Free some space or ${advice}`, { cause });
      throw new InputError("bad-option", `${what}. Make it writable or ${advice}`, { cause });
    }
  }

  async close(): Promise<void> {
    await this.#segment?.handle.close();
    this.#segment = undefined;
  }

  async #open(hiddenSize: number): Promise<{ readonly handle: FileHandle }> {
    if (this.#segment?.hiddenSize === hiddenSize) return this.#segment;
    await this.close();
    await mkdir(this.#folder, { recursive: true });
    const handle = await open(join(this.#folder, `${Date.now()}-${randomUUID()}.vectors`), "ax");
    const header = Buffer.alloc(headerBytes);
    header.write(magic, "latin1");
    header.writeUInt32LE(hiddenSize, magic.length);
    await handle.appendFile(header);
    this.#segment = { handle, hiddenSize };
    return this.#segment;
  }
}

async function* readSegment(handle: FileHandle, isWanted: (key: string) => boolean): AsyncGenerator<KeyedVector> {
  const header = await readAt(handle, 0, headerBytes);
  if (header.length < headerBytes || header.toString("latin1", 0, magic.length) !== magic) return;
  const hiddenSize = header.readUInt32LE(magic.length);
  const recordBytes = keyBytes + checkBytes + 4 * hiddenSize;
  const { size } = await handle.stat();
  const records = Math.floor((size - headerBytes) / recordBytes);
  for (let first = 0; first < records; first += readRecords) {
    const length = Math.min(readRecords, records - first) * recordBytes;
    const bytes = await readAt(handle, headerBytes + first * recordBytes, length);
    for (let at = 0; at + recordBytes <= bytes.length; at += recordBytes) {
      const key = bytes.toString("hex", at, at + keyBytes);
      if (isWanted(key)) yield* decodeRecord(key, bytes.subarray(at, at + recordBytes));
    }
  }
}

function encodeRecord({ key, vector }: KeyedVector): Buffer {
  const record = Buffer.alloc(keyBytes + checkBytes + 4 * vector.length);
  record.write(key, "hex");
  const values = record.subarray(keyBytes + checkBytes);
  values.set(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength));
  if (endianness() === "BE") values.swap32();
  checkOf(key, values).copy(record, keyBytes);
  return record;
}

function* decodeRecord(key: string, record: Buffer): Generator<KeyedVector, void, undefined> {
  const values = Buffer.from(record.subarray(keyBytes + checkBytes));
  if (!checkOf(key, values).equals(record.subarray(keyBytes, keyBytes + checkBytes))) return;
  const vector = new Float32Array(values.length / 4);
  if (endianness() === "BE") values.swap32();
  new Uint8Array(vector.buffer).set(values);
  yield { key, vector };
}

const checkOf = (key: string, values: Uint8Array): Buffer =>
  createHash("sha256").update(key).update(values).digest().subarray(0, checkBytes);
