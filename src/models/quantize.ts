import { ModelError } from "../errors.ts";
import type { SplitBlocks } from "../files/split-blocks.ts";

/** Weights [rows, columns] as integers with one scale a row: w = scale · q, −127 ≤ q ≤ 127. */
export interface RowQuants {
  /** [rows, columns] */
  readonly quants: Int8Array;
  /** [rows] */
  readonly scales: Float32Array;
}

/** Symmetric 8-bit quantisation, one scale for each output channel: scale = max |w| / 127. */
export function quantizeRows(weights: Float32Array, columns: number): RowQuants {
  const quants = new Int8Array(weights.length);
  const scales = new Float32Array(weights.length / columns);
  for (let row = 0, at = 0; row < scales.length; row++, at += columns) {
    const largest = maxAbs(weights, at, at + columns);
    scales[row] = largest / 127;
    const inverse = largest > 0 ? 127 / largest : 0;
    for (let i = at; i < at + columns; i++) quants[i] = Math.round(weights[i]! * inverse);
  }
  return { quants, scales };
}

/** Numbers from −128 to 127 as bytes with their zero at 128. */
export const toUnsigned = (quants: Int8Array): Uint8Array => new Uint8Array(quants).map((byte) => byte ^ 128);

/**
 * The same numbers in blocks, each with its row's scale: a form for float32 activations, of which the runtime wants a scale for
 * every block.
 * @throws ModelError "unsupported-type" for rows that are no whole blocks of 16
 */
export function quantizeInt8(weights: Float32Array, columns: number): SplitBlocks {
  const blockSize = [256, 128, 64, 32, 16].find((size) => columns % size === 0);
  if (blockSize === undefined) {
    throw new ModelError("unsupported-type", `rows of ${columns} weights are no whole blocks of 16. Use float32.`);
  }
  const { quants, scales } = quantizeRows(weights, columns);
  const blocks = columns / blockSize;
  const repeated = Float32Array.from({ length: scales.length * blocks }, (_, i) => scales[Math.floor(i / blocks)]!);
  return { bits: 8, blockSize, quants: toUnsigned(quants), scales: repeated, zeroPoints: null };
}

export const int4Block = 32;

/** Asymmetric 4-bit blocks of 32: scale = (max − min) / 15, zeroPoint = −min / scale, as GGML's Q4_1 has them. */
export function quantizeInt4(weights: Float32Array): SplitBlocks {
  const scales = new Float32Array(weights.length / int4Block);
  const zeroPoints = new Float32Array(scales.length);
  const quants = new Uint8Array(weights.length / 2);
  for (let block = 0, at = 0; block < scales.length; block++, at += int4Block) {
    let [least, most] = [weights[at]!, weights[at]!];
    for (let i = at + 1; i < at + int4Block; i++) {
      least = Math.min(least, weights[i]!);
      most = Math.max(most, weights[i]!);
    }
    // A block of equal weights w is w · (1 − 0).
    const isFlat = most === least;
    const scale = Math.fround(isFlat ? least : (most - least) / 15);
    scales[block] = scale;
    zeroPoints[block] = isFlat || scale === 0 ? 0 : -least / scale;
    const quant = (i: number): number =>
      isFlat || scale === 0 ? 1 : Math.min(15, Math.max(0, Math.round((weights[i]! - least) / scale)));
    for (let i = at; i < at + int4Block; i += 2) quants[i >> 1] = quant(i) | (quant(i + 1) << 4);
  }
  return { bits: 4, blockSize: int4Block, quants, scales, zeroPoints };
}

/** Largest |value| of values[start:end]; NaN where one is. */
export function maxAbs(values: Float32Array, start: number, end: number): number {
  let largest = 0;
  for (let i = start; i < end; i++) {
    const size = Math.abs(values[i]!);
    if (size > largest || Number.isNaN(size)) largest = size;
  }
  return largest;
}
