import { fixed, float32Constant, type Value } from "../graph/graph.ts";
import { add, mul } from "../graph/ops/elementwise.ts";
import { softmax } from "../graph/ops/fused.ts";
import { matmul } from "../graph/ops/matmul.ts";
import { reduceLogSumExp } from "../graph/ops/reduce.ts";
import { concat, reshape, sizes, slice, transposeLast, unsqueeze } from "../graph/ops/shape-ops.ts";
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
  readonly past: KeyValues | null;
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
  const scores = add(scaledScores(q, key, headDim), context.mask); // [numKeyValueHeads, batch, group · queryLength, length]
  const attended = context.past
    ? attendWithPast(q, scores, value, context.past, context.queryGrid)
    : matmul(softmax(scores), value);
  const joined = context.queryGrid.fromGrid(attended); // [queries, numHeads · headDim]
  return linear(weights.at(output), joined, fixed(x.shape[1], "hiddenSize"));
}

/** RMSNorm of every head by itself. */
function normHeads(weights: Weights, x: Value, config: DecoderConfig): Value {
  const heads = fixed(x.shape[1], "a projection's width") / config.headDim;
  return reshape(rmsNorm(weights, reshape(x, [x.shape[0]!, heads, config.headDim]), config.normEps), x.shape);
}

/** q kᵀ / √headDim; the runtime makes one product of it. */
function scaledScores(q: Value, key: Value, headDim: number): Value {
  return mul(matmul(q, transposeLast(key)), float32Constant(q.graph, [headDim ** -0.5], []));
}

/**
 * Scores and values of the past are one product for the whole batch, so the past is never copied for a row. Nor are its
 * scores, which are many after a long one: the sequence's own tokens are attended by themselves, and to the past they are one
 * more token, the sink, whose score is the logarithm of the sum of their exponents and whose value is nothing. Its share
 * of the softmax is theirs.
 */
function attendWithPast(q: Value, scores: Value, value: Value, past: KeyValues, grid: HeadGrid): Value {
  const headDim = fixed(q.shape[3], "headDim");
  const ownExponents = unsqueeze(reduceLogSumExp(scores, -1), 3); // [numKeyValueHeads, batch, group · queryLength, 1]
  const sinkScores = mul(ownExponents, float32Constant(q.graph, [headDim ** 0.5], [])); // which scaledScores takes away
  const pastScores = scaledScores(grid.join(concat([q, sinkScores], 3)), keysWithSink(past.key), headDim);
  const probabilities = softmax(pastScores); // [numKeyValueHeads, batch · group · queryLength, past + 1]
  const fromPast = grid.split(matmul(probabilities, concat([past.value, nothing(past.value)], 1)), headDim);
  const ownShare = slice(probabilities, 2, sizes(past.key, 1, 2), Number.MAX_SAFE_INTEGER, 1);
  return add(mul(matmul(softmax(scores), value), grid.split(ownShare, 1)), fromPast);
}

/** Keys [heads, past, headDim] and one more, each with one more channel: 0, and for the sink 1. */
function keysWithSink(keys: Value): Value {
  const [heads, , headDim] = keys.shape as readonly number[];
  const sink = Float32Array.from({ length: heads! * (headDim! + 1) }, (_, i) =>
    (i + 1) % (headDim! + 1) === 0 ? 1 : 0,
  );
  const zero = float32Constant(keys.graph, [0], []);
  const channel = mul(slice(keys, 2, 0, 1, 1), zero); // [heads, past, 1]
  return concat([concat([keys, channel], 2), float32Constant(keys.graph, sink, [heads!, 1, headDim! + 1])], 1);
}

/** A value of zeros, [heads, 1, headDim]. */
function nothing({ graph, shape: [heads, , headDim] }: Value): Value {
  const size = fixed(heads, "numKeyValueHeads") * fixed(headDim, "headDim");
  return float32Constant(graph, new Float32Array(size), [heads as number, 1, headDim as number]);
}
