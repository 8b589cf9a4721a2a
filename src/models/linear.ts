import { fixed, float32Constant, int64Constant, type Value } from "../graph/graph.ts";
import { add, cast, mul, sub } from "../graph/ops/elementwise.ts";
import { type BlockWeight, gemm, matmulNBits } from "../graph/ops/matmul.ts";
import { reduceSum } from "../graph/ops/reduce.ts";
import { gather, reshape } from "../graph/ops/shape-ops.ts";
import type { Weights } from "./weights.ts";

const isBlocks = (weight: Value | BlockWeight): weight is BlockWeight => "quants" in weight;

/**
 * x Wᵀ + b. The only place that knows how a linear weight is stored.
 * @param weights  scope with `weight` [out, in] and perhaps `bias` [out]
 * @param x        [tokens, in]
 * @returns [tokens, out]
 */
export function linear(weights: Weights, x: Value, out: number): Value {
  const weight = weights.matrix("weight", [out, fixed(x.shape[1], "a linear input's width")]);
  const bias = weights.has("bias") ? weights.tensor("bias", [out]) : null;
  if (!isBlocks(weight)) return gemm(x, weight, bias);
  return weight.bits === 8 && weight.zeroPoints ? offsetBlocks(x, weight, bias) : matmulNBits(x, weight, bias);
}

/**
 * 8-bit blocks with float zero points, which the runtime's kernel does not take: Σ s(q − z)x = Σ s(q − 128)x + Σ_block s(128 − z) Σ x,
 * so the offsets meet the sums of x over each block.
 */
function offsetBlocks(x: Value, weight: BlockWeight, bias: Value | null): Value {
  const blocks = weight.in / weight.blockSize;
  const shifted = sub(float32Constant(x.graph, [128], []), weight.zeroPoints as Value);
  const offsets = reshape(mul(weight.scales, shifted), [weight.out, blocks]);
  const sums = reduceSum(reshape(x, [x.shape[0]!, blocks, weight.blockSize]), 2); // [tokens, blocks]
  return add(matmulNBits(x, { ...weight, zeroPoints: null }, bias), gemm(sums, offsets, null));
}

/**
 * Rows of an embedding table.
 * @param ids  int64 [tokens]
 * @returns [tokens, width]
 */
export function embedding(weights: Weights, ids: Value, rows: number, width: number): Value {
  const table = weights.matrix("weight", [rows, width]);
  if (!isBlocks(table)) return gather(table, ids);
  const blocks = width / table.blockSize;
  const [tokens] = ids.shape;
  const perBlock = (values: Value): Value =>
    reshape(gather(reshape(values, [rows, blocks]), ids), [tokens!, blocks, 1]);
  const quants = cast(gather(table.quants, ids), "float32"); // [tokens, blocks, blockSize]
  const zeroPoint = table.zeroPoints ? perBlock(table.zeroPoints) : float32Constant(ids.graph, [128], []);
  return reshape(mul(sub(quants, zeroPoint), perBlock(table.scales)), [tokens!, width]);
}

/** Rows `start` … of a position table: OPT counts from 2. */
export const shiftedIds = (ids: Value, by: number): Value => add(ids, int64Constant(ids.graph, [by]));
