import { Graph, type Value } from "../graph/graph.ts";
import { gather } from "../graph/ops/shape-ops.ts";
import type { Architecture } from "./architecture.ts";
import { attentionContexts, graphNames, readDepth, sequenceInputs } from "./build.ts";
import type { DecoderConfig } from "./config.ts";
import type { LoraSource } from "./lora.ts";
import { type Checkpoint, Weights } from "./weights.ts";

export interface ForwardGraph {
  readonly graph: Graph;
  /** [batch, hiddenSize] */
  readonly embedding: Value;
}

export interface ForwardOptions {
  readonly layer: number | "last";
  readonly lora: (graph: Graph) => LoraSource;
}

/**
 * Writes the graph from tokens to embeddings without a past, to be differentiated. Inputs are those of
 * buildInferenceGraph but for the past, and repeated_cell, int64 [repeats]: the cells of shared tokens besides token_cell, which
 * the way back adds up.
 * @throws as buildInferenceGraph
 */
export function buildForwardGraph(
  architecture: Architecture,
  config: DecoderConfig,
  checkpoint: Checkpoint,
  { layer, lora }: ForwardOptions,
): ForwardGraph {
  const depth = readDepth(layer, config);
  const graph = new Graph();
  const weights = new Weights(graph, checkpoint, { lora: lora(graph), isTrained: true });
  const { inputIds, ...inputs } = sequenceInputs(graph);
  const { positionIds, lastToken } = inputs;
  const repeatedCell = graph.input(graphNames.repeatedCell, "int64", ["repeats"]);
  const last = (hidden: Value): Value => gather(hidden, lastToken);
  const contexts = attentionContexts({ ...inputs, repeatedCell }, config, last);
  let hidden = architecture.embed(weights, { inputIds, positionIds }, config); // [tokens, hiddenSize]
  if (depth === 0) hidden = last(hidden);
  for (let i = 0; i < depth; i++) {
    const context = { ...contexts[i === depth - 1 ? "lastToken" : "allTokens"], past: null, present: () => {} };
    hidden = architecture.layer(weights.at(architecture.layerScope(i)), hidden, context, config);
  }
  const embedding = depth === config.numLayers ? architecture.finalNorm(weights, hidden, config) : hidden;
  return { graph, embedding };
}
