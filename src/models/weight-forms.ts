import { type FileHandle, open } from "node:fs/promises";
import { dequantize } from "../files/gguf-blocks.ts";
import { type SplitBlocks, splitBlocks } from "../files/split-blocks.ts";
import type { BlockType, TensorEntry } from "../files/tensor-index.ts";
import { nf4Block, quantizeInt4, quantizeNf4, quantizeRows } from "./quantize.ts";
import type { FileRange, StoredTensor } from "./weights.ts";

/**
 * What becomes of a tensor. `raw`: its bytes; `float32`: widened; `blocks`: GGML blocks with their parts apart, a byte a
 * weight in `byteBlocks`, for activations in int8 in `int4Blocks`; `int8`: a scale for each output channel, with its zero at 128 in `uint8`; `int4`: blocks of 32;
 * `nf4`: blocks of 64.
 */
export type WeightForm = "raw" | "float32" | "blocks" | "byteBlocks" | "int4Blocks" | "int8" | "uint8" | "int4" | "nf4";

/** Factors for a weight [rows, columns] or [rows]; they move scale from one weight to another. */
export interface Rescale {
  readonly rows?: Float32Array;
  readonly columns?: Float32Array;
}

const alignment = 64;
const chunkWeights = 4 << 20; // bounds the memory of a conversion, whatever the tensor's size

/** Hands out aligned stretches of a new file. */
export class RangeWriter {
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

const floatTypes = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;

/** Writes a tensor in another form, some rows at a time. */
export async function writeForm(
  entry: TensorEntry,
  form: WeightForm,
  output: RangeWriter,
  rescale: Rescale = {},
): Promise<StoredTensor> {
  switch (form) {
    case "raw":
      return writeRaw(entry, output);
    case "float32":
      return writeFloat32(entry, output, rescale);
    case "int8":
    case "uint8":
      return writeInt8(entry, output, rescale, form);
    case "int4":
      return writeBlocks(entry, output, (bytes, count) => quantizeInt4(floatRows(entry, bytes, count, {}, 0)), "int8");
    case "nf4":
      return writeNf4(entry, output);
    default: {
      const minBits = form === "byteBlocks" ? 8 : 4;
      const split = (bytes: Uint8Array, count: number): SplitBlocks =>
        splitBlocks(entry.type as BlockType, bytes, count, widthOf(entry), minBits);
      return writeBlocks(entry, output, split, form === "int4Blocks" ? "int8" : "float32");
    }
  }
}

async function writeRaw(entry: TensorEntry, output: RangeWriter): Promise<StoredTensor> {
  const range = output.reserve(entry.length);
  const rowBytes = entry.length / rowsOf(entry);
  await eachChunk(entry, (bytes, start) => output.write(bytes, range, start * rowBytes));
  return { kind: "dense", type: floatTypes[entry.type as keyof typeof floatTypes], shape: entry.shape, ...range };
}

async function writeFloat32(entry: TensorEntry, output: RangeWriter, rescale: Rescale): Promise<StoredTensor> {
  const columns = widthOf(entry);
  const range = output.reserve(rowsOf(entry) * columns * 4);
  await eachChunk(entry, (bytes, start, count) =>
    output.write(floatRows(entry, bytes, count, rescale, start), range, start * columns * 4),
  );
  return { kind: "dense", type: "float32", shape: entry.shape, ...range };
}

async function writeInt8(
  entry: TensorEntry,
  output: RangeWriter,
  rescale: Rescale,
  type: "int8" | "uint8",
): Promise<StoredTensor> {
  const [rows, columns] = [rowsOf(entry), widthOf(entry)];
  const transposed = new Int8Array(rows * columns); // [in, out], as the runtime multiplies
  const scales = new Float32Array(rows);
  await eachChunk(entry, async (bytes, start, count) => {
    const part = quantizeRows(floatRows(entry, bytes, count, rescale, start), columns);
    scales.set(part.scales, start);
    for (let column = 0; column < columns; column++) {
      for (let row = 0; row < count; row++) {
        transposed[column * rows + start + row] = part.quants[row * columns + column]!;
      }
    }
  });
  if (type === "uint8") for (let i = 0; i < transposed.length; i++) transposed[i]! ^= 128; // two's complement to q + 128
  const quantRange = output.reserve(transposed.length);
  const scaleRange = output.reserve(scales.byteLength);
  await output.write(transposed, quantRange, 0);
  await output.write(scales, scaleRange, 0);
  return { kind: "int8", type, shape: [rows, columns], quants: quantRange, scales: scaleRange };
}

async function writeBlocks(
  entry: TensorEntry,
  output: RangeWriter,
  convert: (bytes: Uint8Array, count: number) => SplitBlocks,
  activations: "float32" | "int8",
): Promise<StoredTensor> {
  const [rows, columns] = [rowsOf(entry), widthOf(entry)];
  const form = convert(new Uint8Array(0), 0);
  const blocks = columns / form.blockSize;
  const quantBytes = (columns * form.bits) / 8;
  const quants = output.reserve(rows * quantBytes);
  const scales = output.reserve(rows * blocks * 4);
  const zeroPoints = form.zeroPoints && output.reserve(rows * blocks * 4);
  await eachChunk(entry, async (bytes, start, count) => {
    const part = convert(bytes, count);
    await output.write(part.quants, quants, start * quantBytes);
    await output.write(part.scales, scales, start * blocks * 4);
    if (part.zeroPoints && zeroPoints) await output.write(part.zeroPoints, zeroPoints, start * blocks * 4);
  });
  const { bits, blockSize } = form;
  return { kind: "blocks", bits, blockSize, shape: [rows, columns], quants, scales, zeroPoints, activations };
}

async function writeNf4(entry: TensorEntry, output: RangeWriter): Promise<StoredTensor> {
  const [rows, columns] = [rowsOf(entry), widthOf(entry)];
  const quants = output.reserve((rows * columns) / 2);
  const absmax = output.reserve((rows * columns * 4) / nf4Block);
  await eachChunk(entry, async (bytes, start, count) => {
    const part = quantizeNf4(floatRows(entry, bytes, count, {}, start));
    await output.write(part.quants, quants, (start * columns) / 2);
    await output.write(part.absmax, absmax, (start * columns * 4) / nf4Block);
  });
  return { kind: "nf4", shape: [rows, columns], quants, absmax };
}

const widthOf = ({ shape }: TensorEntry): number => (shape.length === 1 ? 1 : shape.at(-1)!);
const rowsOf = (entry: TensorEntry): number => entry.shape.reduce((size, dim) => size * dim, 1) / widthOf(entry);

/** Rows `start` … as float32, times their factors. */
function floatRows(
  entry: TensorEntry,
  bytes: Uint8Array,
  count: number,
  { rows, columns }: Rescale,
  start: number,
): Float32Array {
  const width = widthOf(entry);
  const values = dequantize(entry.type, bytes, count * width);
  if (rows) for (let i = 0; i < values.length; i++) values[i]! *= rows[start + Math.floor(i / width)]!;
  if (columns) for (let i = 0; i < values.length; i++) values[i]! *= columns[i % width]!;
  return values;
}

/** Largest |w| of each column. */
export async function columnMaxima(entry: TensorEntry): Promise<Float32Array> {
  const width = widthOf(entry);
  const maxima = new Float32Array(width);
  await eachChunk(entry, async (bytes, start, count) => {
    const values = floatRows(entry, bytes, count, {}, start);
    for (let i = 0; i < values.length; i++) maxima[i % width] = Math.max(maxima[i % width]!, Math.abs(values[i]!));
  });
  return maxima;
}

/** Reads a tensor some rows at a time; a chunk is whole blocks of 64 weights. */
async function eachChunk(
  entry: TensorEntry,
  use: (bytes: Uint8Array, start: number, count: number) => Promise<void>,
): Promise<void> {
  const rows = rowsOf(entry);
  const rowBytes = entry.length / rows;
  const step = Math.max(64, Math.floor(chunkWeights / widthOf(entry)) & ~63);
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
