import { fixed, float32Constant, type Value } from "../graph/graph.ts";
import { add, mul } from "../graph/ops/elementwise.ts";
import { softmax } from "../graph/ops/fused.ts";
import { matmul } from "../graph/ops/matmul.ts";
import { concat, reshape, sizes, slice, transposeLast } from "../graph/ops/shape-ops.ts";
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
  const scores = add(scaledScores(q, key), context.mask); // [numKeyValueHeads, batch, group · queryLength, length]
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
function scaledScores(q: Value, key: Value): Value {
  const headDim = fixed(key.shape.at(-1), "headDim");
  return mul(matmul(q, transposeLast(key)), float32Constant(q.graph, [headDim ** -0.5], []));
}

/** Scores and values of the past are one product for the whole batch, so the past is never copied for a row. */
function attendWithPast(q: Value, scores: Value, value: Value, past: KeyValues, grid: HeadGrid): Value {
  const pastLength = past.key.shape[1]!;
  const pastScores = grid.split(scaledScores(grid.join(q), past.key), pastLength);
  const probabilities = softmax(concat([pastScores, scores], -1));
  const pastEnd = sizes(past.key, 1, 2);
  const onPast = slice(probabilities, 3, 0, pastEnd, pastLength);
  const onOwn = slice(probabilities, 3, pastEnd, Number.MAX_SAFE_INTEGER, scores.shape[3]!);
  const fromPast = grid.split(matmul(grid.join(onPast), past.value), value.shape[3]!);
  return add(matmul(onOwn, value), fromPast);
}
