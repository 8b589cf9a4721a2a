import { Graph, type Value } from "../graph/graph.ts";
import { gather, range, reshape, sizes } from "../graph/ops/shape-ops.ts";
import type { Architecture } from "./architecture.ts";
import type { KeyValues } from "./attention.ts";
import { attentionContexts, graphNames, readDepth, type SharedContext, sequenceInputs } from "./build.ts";
import type { DecoderConfig } from "./config.ts";
import type { LoraSource } from "./lora.ts";
import { type Checkpoint, Weights } from "./weights.ts";

/** Name of the input that holds the tokens every sequence begins with. */
export const prefixIdsName = "prefix_ids";

export interface ForwardGraph {
  readonly graph: Graph;
  /** [batch, hiddenSize] */
  readonly embedding: Value;
}

export interface ForwardOptions {
  readonly layer: number | "last";
  /**
   * Whether every sequence begins with the same tokens, given once as prefix_ids int64 [prefix], of length 1 or more. They
   * run beside the batch, in the same graph, so that gradients flow through their keys and values.
   */
  readonly hasPrefix: boolean;
  readonly lora: (graph: Graph) => LoraSource;
}

/**
 * Writes the graph from tokens to embeddings without a cache, to be differentiated. Inputs are those of
 * buildInferenceGraph but for the past, and repeated_cell, int64 [repeats]: the cells of shared tokens besides token_cell, which
 * the way back adds up. With a prefix, input_ids and position_ids go on after it.
 * @throws as buildInferenceGraph
 */
export function buildForwardGraph(
  architecture: Architecture,
  config: DecoderConfig,
  checkpoint: Checkpoint,
  { layer, hasPrefix, lora }: ForwardOptions,
): ForwardGraph {
  const depth = readDepth(layer, config);
  const graph = new Graph();
  const weights = new Weights(graph, checkpoint, { lora: lora(graph), isTrained: true });
  const batch = sequences(graph, config);
  const shared = hasPrefix ? sharedTokens(graph, config) : null;
  let hidden = architecture.embed(weights, batch.tokens, config); // [tokens, hiddenSize]
  let prefix = shared && architecture.embed(weights, shared.tokens, config); // [prefix, hiddenSize]
  if (depth === 0) hidden = batch.last(hidden);
  for (let i = 0; i < depth; i++) {
    const scope = weights.at(architecture.layerScope(i));
    let past: KeyValues | null = null;
    if (shared && prefix) {
      const present = (own: KeyValues): void => {
        past = joinedRow(own, config);
      };
      prefix = architecture.layer(scope, prefix, { ...shared.context, past: null, present }, config);
    }
    const context = { ...batch.contexts[i === depth - 1 ? "lastToken" : "allTokens"], past, present: () => {} };
    hidden = architecture.layer(scope, hidden, context, config);
  }
  const embedding = depth === config.numLayers ? architecture.finalNorm(weights, hidden, config) : hidden;
  return { graph, embedding };
}

function sequences(graph: Graph, config: DecoderConfig) {
  const { inputIds, ...inputs } = sequenceInputs(graph);
  const { positionIds, lastToken } = inputs;
  const repeatedCell = graph.input(graphNames.repeatedCell, "int64", ["repeats"]);
  const last = (hidden: Value): Value => gather(hidden, lastToken);
  const contexts = attentionContexts({ ...inputs, repeatedCell }, config, last);
  return { tokens: { inputIds, positionIds }, last, contexts };
}

/** The prefix as a batch of one sequence. */
function sharedTokens(graph: Graph, config: DecoderConfig) {
  const inputIds = graph.input(prefixIdsName, "int64", ["prefix"]);
  const positionIds = range(sizes(inputIds, 0, 1), "prefix");
  const inputs = {
    positionIds,
    gridIndex: reshape(positionIds, [1, "prefix"]),
    tokenCell: positionIds,
    lastToken: positionIds,
  };
  const context: SharedContext = attentionContexts(inputs, config, (rows) => rows).allTokens;
  return { tokens: { inputIds, positionIds }, context };
}

/** Keys and values of a batch of one, as the past of others. */
function joinedRow({ key, value }: KeyValues, { numKeyValueHeads, headDim }: DecoderConfig): KeyValues {
  const shape = [numKeyValueHeads, "prefix", headDim];
  return { key: reshape(key, shape), value: reshape(value, shape) };
}
