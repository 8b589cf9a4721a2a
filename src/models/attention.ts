import { fixed, type Value } from "../graph/graph.ts";
import { sigmoid } from "../graph/ops/activation.ts";
import { add, addAgain, mul, scalar, sub } from "../graph/ops/elementwise.ts";
import { softmax } from "../graph/ops/fused.ts";
import { matmul } from "../graph/ops/matmul.ts";
import { reduceLogSumExp } from "../graph/ops/reduce.ts";
import { reshape, transposeLast, unsqueeze } from "../graph/ops/shape-ops.ts";
import type { DecoderConfig } from "./config.ts";
import { linear } from "./linear.ts";
import { rmsNorm } from "./norm.ts";
import type { HeadGrid, Rotate } from "./token-layout.ts";
import type { Weights } from "./weights.ts";

/** Keys and values of tokens in front that all sequences share, [numKeyValueHeads, past, headDim] each. */
export interface KeyValues {
  readonly key: Value;
  readonly value: Value;
}

/** Tokens in front, of which there may be none. */
export interface Past extends KeyValues {
  /**
   * float32 [1], added to the logarithm of what the past weighs: 0, or logOfNone where there is none, and key and value hold one
   * row of zeros: not every device reduces over no numbers.
   */
  readonly logWeight: Value;
}

/** What a layer's attention must know besides its weights. */
export interface AttentionContext {
  /** Rows whose output is wanted: all tokens, or in the last layer each sequence's last one. */
  queries(hidden: Value): Value;
  readonly queryGrid: HeadGrid;
  readonly rotateQueries: Rotate;
  /** Added to the scores: [group · queryLength, length], or one for each sequence. */
  readonly mask: Value;
  readonly keyGrid: HeadGrid;
  readonly rotateKeys: Rotate;
  /** Null where no tokens in front are shared. */
  readonly past: Past | null;
  /** Told the layer's own keys and values, [numKeyValueHeads, batch, length, headDim] each. */
  present(own: KeyValues): void;
}

/**
 * softmax(q kᵀ / √headDim + mask) v with grouped heads (arXiv 2305.13245), over the shared past and the sequence's own
 * tokens.
 * @param weights  scope with q_proj, k_proj, v_proj, `output`, and perhaps q_norm and k_norm (Qwen3)
 * @param x        [tokens, hiddenSize]
 * @returns [queries, hiddenSize]
 */
export function selfAttention(
  weights: Weights,
  x: Value,
  context: AttentionContext,
  config: DecoderConfig,
  output = "o_proj",
): Value {
  const { numHeads, numKeyValueHeads, headDim } = config;
  const project = (name: string, input: Value, heads: number): Value => {
    const projected = linear(weights.at(`${name}_proj`), input, heads * headDim); // [tokens, heads · headDim]
    return weights.has(`${name}_norm.weight`) ? normHeads(weights.at(`${name}_norm`), projected, config) : projected;
  };
  const query = context.rotateQueries(project("q", context.queries(x), numHeads), numHeads);
  const q = context.queryGrid.toGrid(query); // [numKeyValueHeads, batch, group · queryLength, headDim]
  const key = context.keyGrid.toGrid(context.rotateKeys(project("k", x, numKeyValueHeads), numKeyValueHeads));
  const value = context.keyGrid.toGrid(project("v", x, numKeyValueHeads)); // [numKeyValueHeads, batch, length, headDim]
  context.present({ key, value });
  const scores = addAgain(scaledScores(q, key, headDim), context.mask); // [numKeyValueHeads, batch, group · queryLength, length]
  const own = context.queryGrid.fromGrid(matmul(softmax(scores), value)); // [queries, numHeads · headDim]
  const attended = context.past ? withPast(own, query, scores, context.past, context.queryGrid) : own;
  return linear(weights.at(output), attended, fixed(x.shape[1], "hiddenSize"));
}

/** RMSNorm of every head by itself. */
function normHeads(weights: Weights, x: Value, config: DecoderConfig): Value {
  const heads = fixed(x.shape[1], "a projection's width") / config.headDim;
  return reshape(rmsNorm(weights, reshape(x, [x.shape[0]!, heads, config.headDim]), config.normEps), x.shape);
}

/** q kᵀ / √headDim; the runtime makes one product of it. */
function scaledScores(q: Value, key: Value, headDim: number): Value {
  return mul(matmul(q, transposeLast(key)), scalar(q, headDim ** -0.5));
}

/**
 * What the queries find in the past, joined to what they found in their own sequences. The past is the same for all, so its
 * scores and values are one product for the whole batch, without copies or padding. Each of the two has a softmax of its
 * own; their shares in one softmax over both are as the sums of their exponents (FlashAttention's way to join parts, arXiv
 * 2205.14135, section 3.1), so that of the scores, which are many after a long past, none is copied.
 * @param own     attention within the sequences, [queries, numHeads · headDim]
 * @param scores  its scores with the mask, [numKeyValueHeads, batch, group · queryLength, length]
 */
function withPast(own: Value, query: Value, scores: Value, past: Past, grid: HeadGrid): Value {
  const headDim = fixed(past.key.shape[2], "headDim");
  const pastScores = scaledScores(grid.toLists(query), past.key, headDim); // [numKeyValueHeads, queries · group, past]
  const fromPast = grid.fromLists(matmul(softmax(pastScores), past.value)); // [queries, numHeads · headDim]
  const ownSum = grid.fromGrid(unsqueeze(reduceLogSumExp(scores, -1), 3)); // [queries, numHeads], its logarithm
  const pastSum = grid.fromLists(unsqueeze(reduceLogSumExp(pastScores, -1), 2));
  const weighted = add(pastSum, past.logWeight);
  return add(fromPast, scaleHeads(sub(own, fromPast), sigmoid(sub(ownSum, weighted))));
}

/** Rows [rows, heads · headDim], each head times its factor, [rows, heads]. */
function scaleHeads(x: Value, factors: Value): Value {
  const [rows, heads] = [x.shape[0]!, fixed(factors.shape[1], "numHeads")];
  const byHead = reshape(x, [rows, heads, fixed(x.shape[1], "a row's width") / heads]);
  return reshape(mul(byHead, unsqueeze(factors, 2)), x.shape);
}
