import { readSync, writeSync } from "node:fs";
import { InternalError, ModelError } from "../errors.ts";
import { toHalves } from "../files/float-tensors.ts";
import { dequantize } from "../files/gguf-blocks.ts";
import type { SplitBlocks } from "../files/split-blocks.ts";
import type { TensorEntry } from "../files/tensor-index.ts";
import { nf4Block, nf4Group, quantizeNf4 } from "./nf4.ts";
import { quantizeInt4, quantizeInt8, quantizeRows, toUnsigned } from "./quantize.ts";
import { rowsOf, splitRows, type WeightForm, widthOf } from "./weight-plan.ts";
import type { FileRange, StoredTensor } from "./weights.ts";

/** Factors for a weight [rows, columns] or [rows]; they move scale from one weight to another. */
export interface Rescale {
  readonly rows?: Float32Array;
  readonly columns?: Float32Array;
}

/** B A, which is added to a weight [rows, columns] before all else. */
export interface LowRank {
  /** [rank, columns] */
  readonly a: Float32Array;
  /** [rows, rank] */
  readonly b: Float32Array;
}

/** Rows `start` … `start + count` of a tensor. */
export interface RowSpan {
  readonly entry: TensorEntry;
  readonly added?: LowRank | undefined;
  readonly start: number;
  readonly count: number;
}

const spanWeights = 2 << 20; // bounds the memory of a thread, whatever the tensor's size

/** A tensor cut into spans of about two million weights, each of whole groups of 256 blocks of 64. */
export function* spansOf(entry: TensorEntry, added?: LowRank): Generator<RowSpan> {
  const rows = rowsOf(entry);
  const width = widthOf(entry);
  const groupWeights = nf4Group * nf4Block; // 2^14
  const unit = groupWeights / Math.min(groupWeights, width & -width); // fewest rows of whole groups
  const most = Math.floor(spanWeights / width);
  const step = Math.max(unit, most - (most % unit));
  for (let start = 0; start < rows; start += step) {
    yield { entry, added, start, count: Math.min(step, rows - start) };
  }
}

export const spanBytes = ({ entry, count }: RowSpan): number => (entry.length / rowsOf(entry)) * count;

/** Opened files: synchronous calls, since a worker thread has nothing else to do. */
export interface SpanFiles {
  /** Descriptor of the tensor's file. */
  readonly input: number;
  /** Descriptor of the file with the new form. */
  readonly output: number;
}

/** Writes rows of a tensor in another form to where they belong in the planned file. */
export function fillSpan(span: RowSpan, form: WeightForm, to: StoredTensor, files: SpanFiles, rescale?: Rescale): void {
  const { entry, start } = span;
  const bytes = readSpan(span, files.input);
  /** Writes the span's share of a part that has as much for every row. */
  const writePart = (part: ArrayBufferView, range: FileRange): void => {
    writeAt(files.output, part, range.offset + (range.length / rowsOf(entry)) * start);
  };
  switch (to.kind) {
    case "dense":
      writePart(denseRows(span, bytes, form, rescale), to);
      break;
    case "int8": {
      const { quants, scales } = quantizeRows(floatRows(span, bytes, rescale), widthOf(entry));
      writeTransposed(files.output, form === "uint8" ? toUnsigned(quants) : quants, span, to.quants);
      writePart(scales, to.scales);
      break;
    }
    case "nf4": {
      const { quants, codes, scales, means } = quantizeNf4(floatRows(span, bytes));
      const blocks = (start * widthOf(entry)) / nf4Block; // before the span, in whole groups
      writePart(quants, to.quants);
      writeAt(files.output, codes, to.codes.offset + blocks);
      writeAt(files.output, scales, to.scales.offset + (blocks / nf4Group) * 4);
      writeAt(files.output, means, to.means.offset + (blocks / nf4Group) * 4);
      break;
    }
    case "blocks": {
      const parts = blockParts(span, bytes, form);
      writePart(parts.quants, to.quants);
      writePart(parts.scales, to.scales);
      if (parts.zeroPoints && to.zeroPoints) writePart(parts.zeroPoints, to.zeroPoints);
    }
  }
}

function blockParts(span: RowSpan, bytes: Uint8Array, form: WeightForm): SplitBlocks {
  if (form === "int4") return quantizeInt4(floatRows(span, bytes));
  if (form === "int8Rows") return quantizeInt8(floatRows(span, bytes), widthOf(span.entry));
  return splitRows(span.entry, form, bytes, span.count);
}

function denseRows(span: RowSpan, bytes: Uint8Array, form: WeightForm, rescale?: Rescale): ArrayBufferView {
  if (form === "raw") return bytes;
  const rows = floatRows(span, bytes, rescale);
  return form === "float16" ? toHalves(rows) : rows;
}

/** Largest |w| of each column of a span. */
export function spanMaxima(span: RowSpan, input: number): Float32Array {
  const width = widthOf(span.entry);
  const maxima = new Float32Array(width);
  const values = floatRows(span, readSpan(span, input));
  for (let at = 0; at < values.length; at += width) {
    for (let i = 0; i < width; i++) {
      const size = Math.abs(values[at + i]!);
      if (size > maxima[i]!) maxima[i] = size;
    }
  }
  return maxima;
}

function readSpan(span: RowSpan, input: number): Uint8Array {
  const { entry, start } = span;
  const bytes = new Uint8Array(spanBytes(span));
  const offset = entry.offset + (entry.length / rowsOf(entry)) * start;
  for (let filled = 0; filled < bytes.length; ) {
    const read = readSync(input, bytes, filled, bytes.length - filled, offset + filled);
    if (read === 0) throw new ModelError("corrupt-file", `${entry.file} ends within "${entry.name}". Fetch it again.`);
    filled += read;
  }
  return bytes;
}

/** A span's rows as float32, with what is added to them, times their factors. */
function floatRows(span: RowSpan, bytes: Uint8Array, { rows, columns }: Rescale = {}): Float32Array {
  const { entry, added, start, count } = span;
  const width = widthOf(entry);
  const values = dequantize(entry.type, bytes, count * width);
  if (added) addLowRank(values, added.b.subarray(start * rankOf(added, width)), added.a, width);
  for (let row = 0, at = 0; row < count && (rows || columns); row++, at += width) {
    if (rows) for (let i = 0; i < width; i++) values[at + i]! *= rows[start + row]!;
    if (columns) for (let i = 0; i < width; i++) values[at + i]! *= columns[i]!;
  }
  return values;
}

const rankOf = ({ a }: LowRank, width: number): number => a.length / width;

/**
 * W += B A, in place.
 * @param weight  [rows, width]
 * @param b       [rows, rank] at least
 * @param a       [rank, width]
 */
export function addLowRank(weight: Float32Array, b: Float32Array, a: Float32Array, width: number): void {
  const rank = a.length / width;
  for (let row = 0; row < weight.length / width; row++) {
    const sums = weight.subarray(row * width, (row + 1) * width);
    for (let k = 0; k < rank; k++) {
      const factor = b[row * rank + k]!;
      for (let i = 0; i < width; i++) sums[i]! += factor * a[k * width + i]!;
    }
  }
}

/** A span of [rows, columns] into a file that holds [columns, rows], as the runtime multiplies. */
function writeTransposed(
  output: number,
  quants: Int8Array | Uint8Array,
  { entry, start, count }: RowSpan,
  range: FileRange,
): void {
  const [rows, columns] = [rowsOf(entry), widthOf(entry)];
  const strips = new Uint8Array(quants.length); // [columns, count]
  for (let column = 0, at = 0; column < columns; column++) {
    for (let from = column; from < quants.length; from += columns) strips[at++] = quants[from]!;
  }
  const stripsAtOnce = count === rows ? columns : 1; // whole rows of the file lie side by side
  for (let column = 0; column < columns; column += stripsAtOnce) {
    const strip = strips.subarray(column * count, (column + stripsAtOnce) * count);
    writeAt(output, strip, range.offset + column * rows + start);
  }
}

function writeAt(output: number, part: ArrayBufferView, offset: number): void {
  const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
  for (let written = 0; written < bytes.length; ) {
    const more = writeSync(output, bytes, written, bytes.length - written, offset + written);
    if (more === 0) throw new InternalError("runtime", "a write of prepared weights took no bytes.");
    written += more;
  }
}
