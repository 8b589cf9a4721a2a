import { InternalError } from "../errors.ts";
import { blockFormats, checkLength } from "./gguf-blocks.ts";
import type { BlockType } from "./tensor-index.ts";
import { blockSizes } from "./tensor-layout.ts";

/** Blocks with their parts apart: w = scale · (q − zeroPoint). */
export interface SplitBlocks {
  readonly bits: 4 | 8;
  readonly blockSize: number;
  /** [rows, columns / blockSize, blockSize · bits / 8]; of two 4-bit neighbours the first is in the low nibble */
  readonly quants: Uint8Array;
  /** [rows · columns / blockSize] */
  readonly scales: Float32Array;
  /** [rows · columns / blockSize]; null for 2^(bits − 1) everywhere */
  readonly zeroPoints: Float32Array | null;
}

/**
 * Takes GGML blocks apart into the layout of com.microsoft MatMulNBits, which keeps all quants, scales and zero points of
 * a weight side by side. 5- and 6-bit types take a byte a weight.
 * Types without an offset stay exact. In the others zeroPoint = −offset / scale is rounded, which moves a weight by at
 * most 2^-21 · (|offset| + 2^bits · |scale|); a block whose scale is 0 is exact.
 * @param bytes    rows · columns weights in whole blocks of `type`
 * @param minBits  8 for a table that is gathered row by row: a byte for each weight whatever the type
 * @see https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits
 */
export function splitBlocks(
  type: BlockType,
  bytes: Uint8Array,
  rows: number,
  columns: number,
  minBits: 4 | 8 = 4,
): SplitBlocks {
  const format = blockFormats[type];
  const { blockSize, middle } = format;
  const size = blockSizes[type];
  if (columns % size.weights !== 0) {
    throw new InternalError("runtime", `${columns} columns of type ${type} are not whole blocks of ${size.weights}.`);
  }
  checkLength(type, bytes, rows * columns);
  const bits = format.bits === 4 && minBits === 4 ? 4 : 8;
  const shift = middle === null ? 0 : 2 ** (bits - 1) - middle; // moves the middle to where the runtime has it
  const quants = new Uint8Array((rows * columns * bits) / 8);
  const scales = new Float32Array((rows * columns) / blockSize);
  const zeroPoints = middle === null ? new Float32Array(scales.length) : null;
  const group = new Uint8Array(size.weights); // one GGML block
  const groupScales = new Float32Array(size.weights / blockSize);
  const groupOffsets = new Float32Array(groupScales.length);
  const groupQuantBytes = (size.weights * bits) / 8;
  for (let at = 0, block = 0, to = 0; at < bytes.length; at += size.bytes, to += groupQuantBytes) {
    format.unpack(bytes, at, group);
    format.scale(bytes, at, groupScales, groupOffsets);
    for (let i = 0; i < groupScales.length; i++, block++) {
      const scale = groupScales[i]!;
      const offset = groupOffsets[i]!;
      if (zeroPoints && scale === 0) {
        scales[block] = offset; // every weight is the offset, which no zero point can say: offset · (1 − 0)
        group.fill(1, i * blockSize, (i + 1) * blockSize);
      } else {
        scales[block] = scale;
        if (zeroPoints) zeroPoints[block] = -offset / scale;
      }
    }
    if (bits === 8) copyShifted(group, shift, quants, to);
    else packNibbles(group, quants, to); // 4-bit types have their middle at 8 already
  }
  return { bits, blockSize, quants, scales, zeroPoints };
}

function copyShifted(from: Uint8Array, shift: number, to: Uint8Array, at: number): void {
  for (let i = 0; i < from.length; i++) to[at + i] = from[i]! + shift;
}

function packNibbles(from: Uint8Array, to: Uint8Array, at: number): void {
  for (let i = 0; i < from.length; i += 2) to[at + (i >> 1)] = from[i]! | (from[i + 1]! << 4);
}
