import { InternalError } from "../errors.ts";
import { float32Constant, int64Constant, type Value } from "../graph/graph.ts";
import { bitwiseXor, cast, mod, mul, sub } from "../graph/ops/elementwise.ts";
import type { BlockWeight } from "../graph/ops/matmul.ts";
import type { Nf4Weight } from "../graph/ops/quantized.ts";
import { gather, reshape, sizes } from "../graph/ops/shape-ops.ts";
import { nf4Values } from "./quantize.ts";
import type { MatrixWeight } from "./weights.ts";

/**
 * A quantised weight as float32 [out, in], unpacked when `meets`, which it is multiplied with, is there. Every byte goes through
 * an exclusive or with a 0 made of the size of `meets`: else the runtime would unpack constants once and for all when it
 * loads, or unpack for the way back before it goes forward, and hold float weights.
 * @param meets  [tokens, …]
 */
export function unpacked(matrix: Exclude<MatrixWeight, { kind: "dense" }>, meets: Value): Value {
  switch (matrix.kind) {
    case "nf4":
      return unpackNf4(matrix, meets);
    case "blocks":
      return unpackBlocks(matrix, meets);
    case "int8":
      throw new InternalError("graph", "int8 weights are not unpacked: their inputs are rescaled.");
  }
}

function once(meets: Value, bytes: Value): Value {
  const zero = mod(sizes(meets, 0, 1), int64Constant(bytes.graph, [1]));
  return bitwiseXor(bytes, cast(zero, "uint8"));
}

/** Both numbers in a byte, by a table of 256 rows: [bytes, 2]. */
function pairs(bytes: Value, meets: Value, pair: (byte: number) => readonly [number, number]): Value {
  const table = Array.from({ length: 256 }, (_, byte) => pair(byte)).flat();
  return gather(float32Constant(bytes.graph, table, [256, 2]), cast(once(meets, bytes), "int32"));
}

function unpackNf4({ quants, absmax, blockSize, out, in: columns }: Nf4Weight, meets: Value): Value {
  const blocks = (out * columns) / blockSize;
  const units = pairs(quants, meets, (byte) => [nf4Values[byte >> 4]!, nf4Values[byte & 15]!]);
  return reshape(mul(reshape(units, [blocks, blockSize]), reshape(absmax, [blocks, 1])), [out, columns]);
}

function unpackBlocks(weight: BlockWeight, meets: Value): Value {
  const { quants, scales, zeroPoints, bits, blockSize, out, in: columns } = weight;
  const blocks = (out * columns) / blockSize;
  const numbers =
    bits === 4 ? pairs(quants, meets, (byte) => [byte & 15, byte >> 4]) : cast(once(meets, quants), "float32");
  const zero = zeroPoints ? reshape(zeroPoints, [blocks, 1]) : float32Constant(quants.graph, [2 ** (bits - 1)], []);
  const centred = sub(reshape(numbers, [blocks, blockSize]), zero);
  return reshape(mul(centred, reshape(scales, [blocks, 1])), [out, columns]);
}
