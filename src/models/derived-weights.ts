import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CapacityError, InputError } from "../errors.ts";
import { dequantize } from "../files/gguf-blocks.ts";
import { splitBlocks } from "../files/split-blocks.ts";
import type { BlockType, TensorEntry } from "../files/tensor-index.ts";
import type { DenseTensor, FileRange, StoredTensor } from "./weights.ts";

/** Bump when the bytes this file writes change. */
const formatVersion = 1;
const alignment = 64;
const chunkWeights = 4 << 20; // bounds the memory of a conversion, whatever the tensor's size

export interface DeriveOptions {
  /** Folder for derived weights. */
  readonly folder: string;
  /** What the bytes follow from: the model's identity and the precision. */
  readonly key: string;
  /** `float32` widens blocks to float32, `stored` only separates quants, scales and zero points. */
  readonly precision: "float32" | "stored";
  /** Names of tables that are read row by row: they get a byte for each weight. */
  readonly isTable: (name: string) => boolean;
  readonly onProgress?: ((progress: { file: string; receivedBytes: number; totalBytes?: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * GGML blocks keep each block's scale beside its quants; the runtime wants them apart. This writes them so, once, into
 * a cache folder under the key, and finds them there the next time. A folder is complete or not there at all.
 */
export async function deriveWeights(
  entries: ReadonlyMap<string, TensorEntry>,
  options: DeriveOptions,
): Promise<Map<string, StoredTensor>> {
  const name = createHash("sha256").update(`${formatVersion}\n${options.key}`).digest("hex").slice(0, 32);
  const folder = join(options.folder, name);
  const known = await readDerived(folder);
  if (known) return known;
  const staging = join(options.folder, `.${name}.${randomUUID()}`);
  try {
    await mkdir(staging, { recursive: true });
    const tensors = await writeDerived(entries, join(staging, "weights.bin"), options);
    const bytes = (await stat(join(staging, "weights.bin"))).size;
    await writeFile(join(staging, "manifest.json"), JSON.stringify({ key: options.key, bytes, tensors: [...tensors] }));
    await rm(folder, { recursive: true, force: true }); // only ever a damaged one: readDerived refused it
    await rename(staging, folder).catch(async (error: unknown) => {
      if (!(await readDerived(folder))) throw error; // else another process was quicker
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") {
      throw new CapacityError(
        "disk-full",
        `${options.folder}: no room for the prepared weights. Free some space or set ONEWORD_CACHE.`,
      );
    }
    throw error;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return (await readDerived(folder))!;
}

async function readDerived(folder: string): Promise<Map<string, StoredTensor> | null> {
  try {
    const file = join(folder, "weights.bin");
    const { bytes, tensors } = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8")) as {
      bytes: number;
      tensors: [string, StoredTensor][];
    };
    if ((await stat(file)).size !== bytes) return null;
    const here = (range: FileRange): FileRange => ({ ...range, file });
    return new Map(
      tensors.map(([name, tensor]) => [
        name,
        tensor.kind === "dense"
          ? ({ ...tensor, file } satisfies DenseTensor)
          : {
              ...tensor,
              quants: here(tensor.quants),
              scales: here(tensor.scales),
              zeroPoints: tensor.zeroPoints && here(tensor.zeroPoints),
            },
      ]),
    );
  } catch {
    return null; // not there, or damaged: it is made again
  }
}

async function writeDerived(
  entries: ReadonlyMap<string, TensorEntry>,
  file: string,
  options: DeriveOptions,
): Promise<Map<string, StoredTensor>> {
  const tensors = new Map<string, StoredTensor>();
  const output = new RangeWriter(await open(file, "w"), file);
  const totalBytes = [...entries.values()].reduce((sum, entry) => sum + entry.length, 0);
  let receivedBytes = 0;
  try {
    for (const [name, entry] of entries) {
      if (options.signal?.aborted) throw new InputError("aborted", "stopped while the weights were prepared.");
      tensors.set(name, await convert(entry, output, options.precision, options.isTable(name)));
      receivedBytes += entry.length;
      options.onProgress?.({ file: "weights (prepared once)", receivedBytes, totalBytes });
    }
    await output.handle.sync();
  } finally {
    await output.handle.close();
  }
  return tensors;
}

/** Hands out aligned stretches of a new file. */
class RangeWriter {
  readonly handle: FileHandle;
  readonly #file: string;
  #end = 0;

  constructor(handle: FileHandle, file: string) {
    this.handle = handle;
    this.#file = file;
  }

  reserve(length: number): FileRange {
    const offset = Math.ceil(this.#end / alignment) * alignment;
    this.#end = offset + length;
    return { file: this.#file, offset, length };
  }

  async write(bytes: ArrayBufferView, range: FileRange, at: number): Promise<void> {
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    await this.handle.write(view, 0, view.length, range.offset + at);
  }
}

async function convert(
  entry: TensorEntry,
  output: RangeWriter,
  precision: DeriveOptions["precision"],
  isTable: boolean,
): Promise<StoredTensor> {
  const columns = entry.shape.at(-1) ?? 1;
  const rows = entry.shape.reduce((size, dim) => size * dim, 1) / columns;
  const isFloat = entry.type === "F32" || entry.type === "F16" || entry.type === "BF16";
  if (isFloat || precision === "float32" || entry.shape.length !== 2) {
    const range = output.reserve(rows * columns * 4);
    await eachChunk(entry, rows, columns, async (bytes, start, count) => {
      await output.write(dequantize(entry.type, bytes, count * columns), range, start * columns * 4);
    });
    return { kind: "dense", type: "float32", shape: entry.shape, ...range };
  }
  const type = entry.type as BlockType;
  const minBits = isTable ? 8 : 4;
  const form = splitBlocks(type, new Uint8Array(0), 0, columns, minBits);
  const blocks = columns / form.blockSize;
  const quantBytes = (columns * form.bits) / 8;
  const quants = output.reserve(rows * quantBytes);
  const scales = output.reserve(rows * blocks * 4);
  const zeroPoints = form.zeroPoints && output.reserve(rows * blocks * 4);
  await eachChunk(entry, rows, columns, async (bytes, start, count) => {
    const part = splitBlocks(type, bytes, count, columns, minBits);
    await output.write(part.quants, quants, start * quantBytes);
    await output.write(part.scales, scales, start * blocks * 4);
    if (part.zeroPoints && zeroPoints) await output.write(part.zeroPoints, zeroPoints, start * blocks * 4);
  });
  const { bits, blockSize } = form;
  return { kind: "blocks", bits, blockSize, shape: [rows, columns], quants, scales, zeroPoints };
}

/** Reads a tensor some rows at a time. */
async function eachChunk(
  entry: TensorEntry,
  rows: number,
  columns: number,
  use: (bytes: Uint8Array, start: number, count: number) => Promise<void>,
): Promise<void> {
  const rowBytes = entry.length / rows;
  const step = Math.max(1, Math.floor(chunkWeights / columns));
  const input = await open(entry.file);
  try {
    for (let start = 0; start < rows; start += step) {
      const count = Math.min(step, rows - start);
      const bytes = new Uint8Array(count * rowBytes);
      await input.read(bytes, 0, bytes.length, entry.offset + start * rowBytes);
      await use(bytes, start, count);
    }
  } finally {
    await input.close();
  }
}
