import type { Value } from "../graph/graph.ts";
import type { AttentionContext } from "./attention.ts";
import type { ConfigJson, DecoderConfig } from "./config.ts";
import type { Weights } from "./weights.ts";

/** What the graph is fed for every token. */
export interface TokenInputs {
  /** int64 [tokens] */
  readonly inputIds: Value;
  /** int64 [tokens], from 0 in every sequence */
  readonly positionIds: Value;
}

/**
 * One decoder architecture. Hidden states are [tokens, hiddenSize]: the tokens of all sequences of a batch one after
 * the other, without padding. Tensor names are those of transformers' base model class, without a leading `model.`.
 */
export interface Architecture {
  /** `model_type` in config.json. */
  readonly modelType: string;
  /** Its base model in transformers, which exported folders name. */
  readonly transformersClass: string;
  /** @throws ModelError "config" for a key that changes the mathematics in a way we do not compute */
  readConfig(json: ConfigJson, source: string): DecoderConfig;
  embed(weights: Weights, inputs: TokenInputs, config: DecoderConfig): Value;
  /** One layer. Its output has a row for every row of `context.queries(hidden)`. */
  layer(weights: Weights, hidden: Value, context: AttentionContext, config: DecoderConfig): Value;
  /** Scope of layer `i`. */
  layerScope(i: number): string;
  /** Where a layer's activations can hand scale to the weights they meet, for products in int8. */
  smoothing(config: DecoderConfig): readonly SmoothingPair[];
  /** From the last layer's output to the embedding. */
  finalNorm(weights: Weights, hidden: Value, config: DecoderConfig): Value;
  /**
   * What config.json says of this model without its final norm, as one that is cut at an earlier layer; null where it has no word
   * for that, but a norm of ones sets nothing but the vectors' length.
   * @throws ModelError "config" where the model goes on after its layers by more than a norm
   */
  withoutFinalNorm(config: DecoderConfig): ConfigJson | null;
  /** Scores of every token of the vocabulary as the next one, [rows, vocabSize], from embeddings [rows, width]. */
  nextToken(weights: Weights, embedding: Value, config: DecoderConfig): Value;
}

/**
 * Linear weights with one input, and the tensors that input comes from. Dividing the channels of `from` and multiplying
 * the columns of `linears` by the same factors does not change the function. Names are relative to the layer's scope.
 * @see SmoothQuant, arXiv 2211.10438
 */
export interface SmoothingPair {
  readonly linears: readonly string[];
  readonly from: readonly string[];
}
