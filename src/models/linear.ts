import { InternalError } from "../errors.ts";
import { fixed, float32Constant, type Value } from "../graph/graph.ts";
import { add, cast, mul, sub } from "../graph/ops/elementwise.ts";
import { type BlockWeight, gemm, matmulNBits, productWithPacked } from "../graph/ops/matmul.ts";
import { matmulInt8, matmulNf4, type QuantizedRows, quantizeByRow } from "../graph/ops/quantized.ts";
import { reduceSum } from "../graph/ops/reduce.ts";
import { gather, reshape } from "../graph/ops/shape-ops.ts";
import { addLora } from "./lora.ts";
import { nf4Block } from "./nf4.ts";
import { bytesAfter, nf4Absmax, unpacked } from "./unpack.ts";
import type { Weights } from "./weights.ts";

/**
 * x Wᵀ + b, and an adapter's part where there is one. The only place that knows how a linear weight is stored and
 * whether it is adapted.
 * @param weights  scope with `weight` [out, in] and perhaps `bias` [out]
 * @param x        [tokens, in]
 * @returns [tokens, out]
 */
export function linear(weights: Weights, x: Value, out: number): Value {
  const inputs = fixed(x.shape[1], "a linear input's width");
  weights.observe(x);
  const y = storedLinear(weights, x, [out, inputs]);
  const lora = weights.lora(out, inputs);
  return lora ? addLora(y, x, lora) : y;
}

function storedLinear(weights: Weights, x: Value, shape: readonly [number, number]): Value {
  const matrix = weights.matrix("weight", shape);
  const [out] = shape;
  const bias = weights.has("bias") ? weights.tensor("bias", [out]) : null;
  const plusBias = (y: Value): Value => (bias ? add(y, bias) : y);
  if (matrix.kind === "dense") return gemm(x, matrix.weight, bias);
  const unpack = (other: Value): Value => unpacked(matrix, other);
  if (weights.isTrained && matrix.kind !== "nf4") return productWithPacked(x, unpack, bias);
  switch (matrix.kind) {
    case "int8":
      return plusBias(matmulInt8(quantized(x), matrix));
    case "nf4": {
      const codes = weights.isTrained ? bytesAfter(x, matrix.codes) : matrix.codes; // floats would be 0.05 bytes a weight more
      return plusBias(matmulNf4(x, matrix, nf4Absmax(matrix, codes), nf4Block, unpack));
    }
    case "blocks":
      return needsOffsets(matrix) ? offsetBlocks(x, matrix, bias) : matmulNBits(x, matrix, bias);
  }
}

const quantizedValues = new WeakMap<Value, QuantizedRows>();

/** Inputs that several projections share are quantised once. */
function quantized(x: Value): QuantizedRows {
  const known = quantizedValues.get(x) ?? quantizeFactored(x);
  quantizedValues.set(x, known);
  return known;
}

/** Quantises a product a ⊙ (s · p), s a factor for each row, as s times the quants of a ⊙ p: rows are scaled anyway. */
function quantizeFactored(x: Value): QuantizedRows {
  const [other, scaled] = factors(x);
  const [rowScale, unscaled] = scaled
    ? factors(scaled).toSorted((a, b) => Number(a.shape[1]) - Number(b.shape[1]))
    : [];
  if (!other || !unscaled || rowScale?.shape[1] !== 1) return quantizeByRow(x);
  const { quants, scales } = quantizeByRow(mul(other, unscaled));
  return { quants, scales: mul(scales, rowScale) };
}

/** a and b of a product a ⊙ b. */
function factors(x: Value): readonly Value[] {
  const producer = x.graph.nodes.findLast(({ outputs }) => outputs.includes(x));
  return producer?.type === "Mul" ? (producer.inputs as Value[]) : [];
}

/** The runtime's kernels for 8-bit weights and for int8 activations do not take float zero points. */
const needsOffsets = ({ zeroPoints, bits, activations }: BlockWeight): boolean =>
  zeroPoints !== null && (bits === 8 || activations === "int8");

/**
 * Blocks with float zero points: Σ s(q − z)x = Σ s(q − m)x + Σ_block s(m − z) Σ x with m in the middle of the range, so
 * the offsets meet the sums of x over each block.
 */
function offsetBlocks(x: Value, weight: BlockWeight, bias: Value | null): Value {
  const blocks = weight.in / weight.blockSize;
  const middle = float32Constant(x.graph, [2 ** (weight.bits - 1)], []);
  const offsets = reshape(mul(weight.scales, sub(middle, weight.zeroPoints as Value)), [weight.out, blocks]);
  const sums = reduceSum(reshape(x, [x.shape[0]!, blocks, weight.blockSize]), 2); // [tokens, blocks]
  return add(matmulNBits(x, { ...weight, zeroPoints: null }, bias), gemm(sums, offsets, null));
}

/**
 * Rows of an embedding table.
 * @param ids  int64 [tokens]
 * @returns [tokens, width]
 */
export function embedding(weights: Weights, ids: Value, rows: number, width: number): Value {
  if (weights.isDense("weight")) return cast(gather(weights.storedFloat("weight", [rows, width]), ids), "float32");
  const table = weights.matrix("weight", [rows, width]);
  if (table.kind !== "blocks") throw new InternalError("graph", `a table in the form ${table.kind} has no rows.`);
  const blocks = width / table.blockSize;
  const [tokens] = ids.shape;
  const perBlock = (values: Value): Value =>
    reshape(gather(reshape(values, [rows, blocks]), ids), [tokens!, blocks, 1]);
  const quants = cast(gather(table.quants, ids), "float32"); // [tokens, blocks, blockSize]
  const zeroPoint = table.zeroPoints ? perBlock(table.zeroPoints) : float32Constant(ids.graph, [128], []);
  return reshape(mul(sub(quants, zeroPoint), perBlock(table.scales)), [tokens!, width]);
}
