import { maxAbs } from "./quantize.ts";

/** The sixteen values of 4-bit NormalFloat (arXiv 2305.14314, appendix E). */
export const nf4Values: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

/** Weights that share an absmax, and absmaxes that share a scale and a mean. */
export const nf4Block = 64;
export const nf4Group = 256;

/**
 * The 256 values of an absmax's code: bitsandbytes' 8-bit floats with a dynamic exponent. For each of seven powers of ten
 * up to 1, 2^i midpoints of equal steps from 0.1 to 1 of it, of both signs; 0 and 1.
 * @see arXiv 2110.02861, section 2.1
 */
export const absmaxValues: readonly number[] = dynamicMap();

function dynamicMap(): number[] {
  const values = [0, 1];
  for (let i = 0; i < 7; i++) {
    const steps = 2 ** i;
    for (let step = 0; step < steps; step++) {
      const value = 10 ** (i - 6) * (0.1 + (0.9 * (step + 0.5)) / steps);
      values.push(Math.fround(value), Math.fround(-value));
    }
  }
  return values.sort((a, b) => a - b);
}

/**
 * Weights as absmax · value[q] in blocks of 64, of two neighbours the first in the high nibble; absmax = scale · code + mean
 * in groups of 256 blocks (double quantisation). 4.13 bits a weight. bitsandbytes has one mean for the tensor; with a mean for
 * each group, rows can be converted side by side.
 * @see QLoRA, arXiv 2305.14314, section 3
 */
export interface Nf4Blocks {
  /** [weights / 2] */
  readonly quants: Uint8Array;
  /** [groups · 256], those behind the last block unused */
  readonly codes: Uint8Array;
  /** [groups] */
  readonly scales: Float32Array;
  /** [groups] */
  readonly means: Float32Array;
}

/** Sizes of the parts that `weights` numbers become. */
export function nf4Sizes(weights: number): { readonly blocks: number; readonly groups: number } {
  const blocks = Math.ceil(weights / nf4Block);
  return { blocks, groups: Math.ceil(blocks / nf4Group) };
}

export function quantizeNf4(weights: Float32Array): Nf4Blocks {
  const { blocks, groups } = nf4Sizes(weights.length);
  const absmax = new Float32Array(blocks);
  const quants = new Uint8Array(Math.ceil(weights.length / 2));
  for (let block = 0; block < blocks; block++) {
    const [start, end] = [block * nf4Block, Math.min(weights.length, (block + 1) * nf4Block)];
    const largest = maxAbs(weights, start, end);
    absmax[block] = largest;
    for (let i = start; i < end; i++) {
      const quant = nearest(nf4Bounds, largest > 0 ? weights[i]! / largest : 0);
      quants[i >> 1]! |= i % 2 === 0 ? quant << 4 : quant;
    }
  }
  const [codes, scales, means] = [
    new Uint8Array(groups * nf4Group),
    new Float32Array(groups),
    new Float32Array(groups),
  ];
  for (let group = 0; group < groups; group++) {
    const own = absmax.subarray(group * nf4Group, (group + 1) * nf4Group);
    const mean = Math.fround(own.reduce((sum, value) => sum + value, 0) / own.length);
    const centred = own.map((value) => value - mean);
    const scale = maxAbs(centred, 0, centred.length);
    means[group] = mean;
    scales[group] = scale;
    for (const [i, value] of centred.entries()) {
      codes[group * nf4Group + i] = nearest(absmaxBounds, scale > 0 ? value / scale : 0);
    }
  }
  return { quants, codes, scales, means };
}

/** Borders between the neighbours of sorted values. */
const midpoints = (values: readonly number[]): number[] => values.slice(1).map((value, i) => (value + values[i]!) / 2);
const nf4Bounds = midpoints(nf4Values);
const absmaxBounds = midpoints(absmaxValues);

function nearest(bounds: readonly number[], value: number): number {
  let [low, high] = [0, bounds.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value > bounds[middle]!) low = middle + 1;
    else high = middle;
  }
  return low;
}
