import { InternalError } from "../errors.ts";
import { float32Constant, type Value } from "../graph/graph.ts";
import { add, cast, mul, sub } from "../graph/ops/elementwise.ts";
import type { BlockWeight } from "../graph/ops/matmul.ts";
import type { Nf4Weight } from "../graph/ops/quantized.ts";
import { gather, reshape, slice, zeroAfter } from "../graph/ops/shape-ops.ts";
import { absmaxValues, nf4Block, nf4Group, nf4Sizes, nf4Values } from "./nf4.ts";
import type { MatrixWeight } from "./weights.ts";

/**
 * A quantised weight as float32 [out, in], unpacked when it runs, and not before `other`, which it will be multiplied with, is
 * there. To every byte a 0 is added that is computed of the other's length: else the runtime would unpack constants once and for
 * all when it loads, join the two ways' unpacking, or unpack all layers before it multiplies one. (CUDA adds bytes; it has no
 * exclusive or.)
 */
export function unpacked(matrix: Exclude<MatrixWeight, { kind: "dense" }>, other: Value): Value {
  switch (matrix.kind) {
    case "nf4":
      return unpackNf4(matrix, other);
    case "blocks":
      return unpackBlocks(matrix, other);
    case "int8":
      throw new InternalError("graph", "int8 weights are not unpacked: their inputs are rescaled. See openCheckpoint.");
  }
}

/** The same bytes, as soon as `other` is there. */
export function bytesAfter(other: Value, bytes: Value): Value {
  return add(bytes, cast(zeroAfter(other), "uint8"));
}

/** Both numbers in a byte, by a table of 256 rows: [bytes, 2]. */
function pairs(bytes: Value, other: Value, pair: (byte: number) => readonly [number, number]): Value {
  const table = Array.from({ length: 256 }, (_, byte) => pair(byte)).flat();
  return gather(float32Constant(bytes.graph, table, [256, 2]), cast(bytesAfter(other, bytes), "int32"));
}

function unpackNf4(weight: Nf4Weight, other: Value): Value {
  const { quants, codes, out, in: columns } = weight;
  const { blocks } = nf4Sizes(out * columns);
  const units = pairs(quants, other, (byte) => [nf4Values[byte >> 4]!, nf4Values[byte & 15]!]);
  const absmax = nf4Absmax(weight, bytesAfter(other, codes));
  return reshape(mul(reshape(units, [blocks, nf4Block]), reshape(absmax, [blocks, 1])), [out, columns]);
}

/**
 * The largest |w| of every block, from its code: float32 [blocks]. Where the codes are constants the runtime computes it once,
 * when it loads.
 */
export function nf4Absmax({ out, in: columns, scales, means, ...weight }: Nf4Weight, codes = weight.codes): Value {
  const { blocks, groups } = nf4Sizes(out * columns);
  const values = gather(float32Constant(codes.graph, absmaxValues), cast(codes, "int32")); // [groups, 256]
  const all = reshape(add(mul(values, scales), means), [groups * nf4Group]);
  return slice(all, 0, 0, blocks, blocks);
}

function unpackBlocks(weight: BlockWeight, other: Value): Value {
  const { quants, scales, zeroPoints, bits, blockSize, out, in: columns } = weight;
  const blocks = (out * columns) / blockSize;
  const numbers =
    bits === 4 ? pairs(quants, other, (byte) => [byte & 15, byte >> 4]) : cast(bytesAfter(other, quants), "float32");
  const zero = zeroPoints ? reshape(zeroPoints, [blocks, 1]) : float32Constant(quants.graph, [2 ** (bits - 1)], []);
  const centred = sub(reshape(numbers, [blocks, blockSize]), zero);
  return reshape(mul(centred, reshape(scales, [blocks, 1])), [out, columns]);
}
