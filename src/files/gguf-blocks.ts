import { InternalError } from "../errors.ts";
import type { BlockType, FloatType, StorageType } from "./tensor-index.ts";
import { blockSizes } from "./tensor-layout.ts";

/**
 * What a GGML block says, type by type: numbers q below 2^bits, `blockSize` of which share a scale and an offset.
 * w = scale · (q − middle) or, in the types that have an offset, w = scale · q + offset.
 */
export interface BlockFormat {
  readonly bits: 4 | 5 | 6 | 8;
  readonly blockSize: 16 | 32;
  /** The q of w = 0; null in the types with an offset. */
  readonly middle: number | null;
  /** Writes all q of the block at `at`, in the order of the weights. */
  unpack(bytes: Uint8Array, at: number, quants: Uint8Array): void;
  /** Writes the scale, and the offset where the type has one, of each `blockSize` weights. */
  scale(bytes: Uint8Array, at: number, scales: Float32Array, offsets: Float32Array): void;
}

const oneScale: BlockFormat["scale"] = (bytes, at, scales) => {
  scales[0] = halfAt(bytes, at);
};
const scaleAndOffset: BlockFormat["scale"] = (bytes, at, scales, offsets) => {
  scales[0] = halfAt(bytes, at);
  offsets[0] = halfAt(bytes, at + 2);
};

/** Layouts of ggml-common.h. */
export const blockFormats: Readonly<Record<BlockType, BlockFormat>> = {
  Q8_0: {
    bits: 8,
    blockSize: 32,
    middle: 128,
    scale: oneScale,
    unpack(bytes, at, quants) {
      for (let i = 0; i < 32; i++) quants[i] = bytes[at + 2 + i]! ^ 128; // two's complement to q − 128
    },
  },
  Q4_0: {
    bits: 4,
    blockSize: 32,
    middle: 8,
    scale: oneScale,
    unpack: (bytes, at, quants) => unpackNibbles(bytes, at + 2, quants, 0, 16),
  },
  Q4_1: {
    bits: 4,
    blockSize: 32,
    middle: null,
    scale: scaleAndOffset,
    unpack: (bytes, at, quants) => unpackNibbles(bytes, at + 4, quants, 0, 16),
  },
  Q5_0: {
    bits: 5,
    blockSize: 32,
    middle: 16,
    scale: oneScale,
    unpack(bytes, at, quants) {
      unpackNibbles(bytes, at + 6, quants, 0, 16);
      addFifthBits(bytes, at + 2, quants);
    },
  },
  Q5_1: {
    bits: 5,
    blockSize: 32,
    middle: null,
    scale: scaleAndOffset,
    unpack(bytes, at, quants) {
      unpackNibbles(bytes, at + 8, quants, 0, 16);
      addFifthBits(bytes, at + 4, quants);
    },
  },
  Q4_K: {
    bits: 4,
    blockSize: 32,
    middle: null,
    scale: sixBitScales,
    unpack(bytes, at, quants) {
      for (let pair = 0; pair < 4; pair++) unpackNibbles(bytes, at + 16 + pair * 32, quants, pair * 64, 32);
    },
  },
  Q5_K: {
    bits: 5,
    blockSize: 32,
    middle: null,
    scale: sixBitScales,
    unpack(bytes, at, quants) {
      for (let pair = 0; pair < 4; pair++) unpackNibbles(bytes, at + 48 + pair * 32, quants, pair * 64, 32);
      for (let i = 0; i < 256; i++) quants[i]! |= ((bytes[at + 16 + (i & 31)]! >> (i >> 5)) & 1) << 4;
    },
  },
  Q6_K: {
    bits: 6,
    blockSize: 16,
    middle: 32,
    scale(bytes, at, scales) {
      const d = halfAt(bytes, at + 208);
      for (let block = 0; block < 16; block++) scales[block] = d * ((bytes[at + 192 + block]! << 24) >> 24);
    },
    unpack(bytes, at, quants) {
      for (let half = 0; half < 2; half++) {
        const to = half * 128;
        unpackNibbles(bytes, at + half * 64, quants, to, 64);
        const high = at + 128 + half * 32;
        for (let i = 0; i < 128; i++) quants[to + i]! |= ((bytes[high + (i & 31)]! >> ((i >> 5) * 2)) & 3) << 4;
      }
    },
  },
};

/** `count` low nibbles, then the `count` high nibbles of the same bytes. */
function unpackNibbles(bytes: Uint8Array, at: number, quants: Uint8Array, to: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const pair = bytes[at + i]!;
    quants[to + i] = pair & 15;
    quants[to + count + i] = pair >> 4;
  }
}

function addFifthBits(bytes: Uint8Array, at: number, quants: Uint8Array): void {
  const high = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  for (let i = 0; i < 32; i++) quants[i]! |= ((high >> i) & 1) << 4;
}

/** Q4_K and Q5_K: d, dmin, then 8 six-bit scales and 8 six-bit minima in 12 bytes; the last four of each lend their top bits. */
function sixBitScales(bytes: Uint8Array, at: number, scales: Float32Array, offsets: Float32Array): void {
  const d = halfAt(bytes, at);
  const dmin = halfAt(bytes, at + 2);
  for (let i = 0; i < 4; i++) {
    const scale = bytes[at + 4 + i]!;
    const min = bytes[at + 8 + i]!;
    const low = bytes[at + 12 + i]!;
    scales[i] = d * (scale & 63);
    offsets[i] = -(dmin * (min & 63));
    scales[i + 4] = d * ((low & 15) | ((scale >> 6) << 4));
    offsets[i + 4] = -(dmin * ((low >> 4) | ((min >> 6) << 4)));
  }
}

const halves = new Float32Array(65536);
const halfBits = new Uint32Array(halves.buffer);
for (let bits = 0; bits < 65536; bits++) halfBits[bits] = widenHalf(bits);

/** Bits of the float32 equal to a float16. */
function widenHalf(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  const shift = Math.clz32(fraction) - 21; // subnormal: shift the top bit to where it is implied
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 1023) << 13);
}

function halfAt(bytes: Uint8Array, at: number): number {
  return halves[bytes[at]! | (bytes[at + 1]! << 8)]!;
}

/**
 * Weights as float32, in new memory.
 * @param bytes  whole blocks of `type`, little endian, exactly `count` weights
 * @see gguf-py, gguf/quants.py, whose results these equal bit for bit
 */
export function dequantize(type: StorageType, bytes: Uint8Array, count: number): Float32Array {
  checkLength(type, bytes, count);
  const weights = new Float32Array(count);
  if (type === "F32" || type === "F16" || type === "BF16") widen(type, bytes, weights);
  else expand(type, bytes, weights);
  return weights;
}

/** Floats go by their bits, which keeps the payload of a NaN. */
function widen(type: FloatType, bytes: Uint8Array, weights: Float32Array): void {
  const out = new Uint32Array(weights.buffer);
  const count = out.length;
  if (type === "F32") new Uint8Array(weights.buffer).set(bytes);
  else if (type === "BF16") {
    for (let i = 0; i < count; i++) out[i] = (bytes[2 * i]! << 16) | (bytes[2 * i + 1]! << 24);
  } else {
    for (let i = 0; i < count; i++) out[i] = halfBits[bytes[2 * i]! | (bytes[2 * i + 1]! << 8)]!;
  }
}

function expand(type: BlockType, bytes: Uint8Array, weights: Float32Array): void {
  const { blockSize, middle, unpack, scale } = blockFormats[type];
  const size = blockSizes[type];
  const quants = new Uint8Array(size.weights);
  const scales = new Float32Array(size.weights / blockSize);
  const offsets = new Float32Array(scales.length);
  for (let at = 0, to = 0; at < bytes.length; at += size.bytes) {
    unpack(bytes, at, quants);
    scale(bytes, at, scales, offsets);
    for (let block = 0, from = 0; block < scales.length; block++) {
      const factor = scales[block]!;
      const offset = offsets[block]!;
      const end = from + blockSize;
      if (middle === null) while (from < end) weights[to++] = Math.fround(factor * quants[from++]!) + offset;
      else while (from < end) weights[to++] = factor * (quants[from++]! - middle);
    }
  }
}

/** @throws InternalError where the caller cut a tensor wrongly: a typed array would read zeros without a word */
export function checkLength(type: StorageType, bytes: Uint8Array, count: number): void {
  const size = blockSizes[type];
  const expected = (count / size.weights) * size.bytes;
  if (bytes.length !== expected) {
    throw new InternalError("runtime", `${count} weights of type ${type} are ${expected} bytes, not ${bytes.length}.`);
  }
}
