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

const int4Block = 32;

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

/** The sixteen values of 4-bit NormalFloat (arXiv 2305.14314, appendix E). */
export const nf4Values: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];
const nf4Bounds = nf4Values.slice(1).map((value, i) => (value + nf4Values[i]!) / 2);
export const nf4Block = 64;

/** Blocks of 64 with w = absmax · value[q]; of two neighbours the first is in the high nibble, as bitsandbytes has them. */
export interface Nf4Blocks {
  /** [weights / 2] */
  readonly quants: Uint8Array;
  /** [weights / 64] */
  readonly absmax: Float32Array;
}

export function quantizeNf4(weights: Float32Array): Nf4Blocks {
  const absmax = new Float32Array(Math.ceil(weights.length / nf4Block));
  const quants = new Uint8Array(Math.ceil(weights.length / 2));
  for (let block = 0; block < absmax.length; block++) {
    const [start, end] = [block * nf4Block, Math.min(weights.length, (block + 1) * nf4Block)];
    const largest = maxAbs(weights, start, end);
    absmax[block] = largest;
    for (let i = start; i < end; i++) {
      const quant = largest > 0 ? nearestNf4(weights[i]! / largest) : 7; // 7 is zero
      quants[i >> 1]! |= i % 2 === 0 ? quant << 4 : quant;
    }
  }
  return { quants, absmax };
}

function nearestNf4(value: number): number {
  let [low, high] = [0, nf4Bounds.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value > nf4Bounds[middle]!) low = middle + 1;
    else high = middle;
  }
  return low;
}

function maxAbs(values: Float32Array, start: number, end: number): number {
  let largest = 0;
  for (let i = start; i < end; i++) {
    const size = Math.abs(values[i]!);
    if (size > largest) largest = size;
  }
  return largest;
}
