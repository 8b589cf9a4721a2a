import { InternalError } from "../errors.ts";
import { float32Constant, type Graph, type Value } from "../graph/graph.ts";
import { bitwiseXor, cast, mul, sub } from "../graph/ops/elementwise.ts";
import type { BlockWeight } from "../graph/ops/matmul.ts";
import type { Nf4Weight } from "../graph/ops/quantized.ts";
import { gather, reshape } from "../graph/ops/shape-ops.ts";
import { nf4Values } from "./quantize.ts";
import type { MatrixWeight } from "./weights.ts";

/** Which of the two times a packed weight is unpacked. */
export type Way = "forward" | "back";

/** Name of the input, uint8, that has to be 0. */
export const unpackName = (way: Way): string => `unpack.${way}`;

/**
 * A quantised weight as float32 [out, in]. Every byte goes through an exclusive or with an input that is 0: else the runtime
 * would unpack constants once and for all when it loads, and join the two ways' unpacking, and hold float weights.
 */
export function unpacked(matrix: Exclude<MatrixWeight, { kind: "dense" }>, way: Way): Value {
  switch (matrix.kind) {
    case "nf4":
      return unpackNf4(matrix, way);
    case "blocks":
      return unpackBlocks(matrix, way);
    case "int8":
      throw new InternalError("graph", "int8 weights are not unpacked: their inputs are rescaled.");
  }
}

const inputs = new WeakMap<Graph, Map<Way, Value>>();

function atRunTime(bytes: Value, way: Way): Value {
  const { graph } = bytes;
  const known = inputs.get(graph) ?? new Map<Way, Value>();
  const zero = known.get(way) ?? graph.input(unpackName(way), "uint8", [1]);
  inputs.set(graph, known.set(way, zero));
  return bitwiseXor(bytes, zero);
}

/** Both numbers in a byte, by a table of 256 rows: [bytes, 2]. */
function pairs(bytes: Value, way: Way, pair: (byte: number) => readonly [number, number]): Value {
  const table = Array.from({ length: 256 }, (_, byte) => pair(byte)).flat();
  return gather(float32Constant(bytes.graph, table, [256, 2]), cast(atRunTime(bytes, way), "int32"));
}

function unpackNf4({ quants, absmax, blockSize, out, in: columns }: Nf4Weight, way: Way): Value {
  const blocks = (out * columns) / blockSize;
  const units = pairs(quants, way, (byte) => [nf4Values[byte >> 4]!, nf4Values[byte & 15]!]);
  return reshape(mul(reshape(units, [blocks, blockSize]), reshape(absmax, [blocks, 1])), [out, columns]);
}

function unpackBlocks(weight: BlockWeight, way: Way): Value {
  const { quants, scales, zeroPoints, bits, blockSize, out, in: columns } = weight;
  const blocks = (out * columns) / blockSize;
  const numbers =
    bits === 4 ? pairs(quants, way, (byte) => [byte & 15, byte >> 4]) : cast(atRunTime(quants, way), "float32");
  const zero = zeroPoints ? reshape(zeroPoints, [blocks, 1]) : float32Constant(quants.graph, [2 ** (bits - 1)], []);
  const centred = sub(reshape(numbers, [blocks, blockSize]), zero);
  return reshape(mul(centred, reshape(scales, [blocks, 1])), [out, columns]);
}
