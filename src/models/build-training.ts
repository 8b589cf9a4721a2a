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
 * buildInferenceGraph but for the past. A row of the grid, which is [rows, length], may hold several sequences one after the
 * other. A token in several of them is asked for once: query_index int64 [rows, queries] are the tokens that look from each
 * row, query_cell int64 [tokens] where each of them is in that; its row is that of its token_cell. In the topmost layer
 * slot_index int64 [rows, slots] and slot_cell int64 [batch] are the same of the sequences. repeated_cell int64 [repeats]
 * are the cells of shared tokens besides token_cell, which the way back adds up.
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
  const { inputIds, ...inputs } = sequenceInputs(graph, "rows");
  const { positionIds, lastToken } = inputs;
  const packed = {
    repeatedCell: graph.input(graphNames.repeatedCell, "int64", ["repeats"]),
    queryIndex: graph.input(graphNames.queryIndex, "int64", ["rows", "queries"]),
    queryCell: graph.input(graphNames.queryCell, "int64", ["tokens"]),
    slotIndex: graph.input(graphNames.slotIndex, "int64", ["rows", "slots"]),
    slotCell: graph.input(graphNames.slotCell, "int64", ["batch"]),
  };
  const last = (hidden: Value): Value => gather(hidden, lastToken);
  const contexts = attentionContexts({ ...inputs, packed }, config, last);
  let hidden = architecture.embed(weights, { inputIds, positionIds }, config); // [tokens, hiddenSize]
  if (depth === 0) hidden = last(hidden);
  for (let i = 0; i < depth; i++) {
    const context = { ...contexts[i === depth - 1 ? "lastToken" : "allTokens"], past: null, present: () => {} };
    hidden = architecture.layer(weights.at(architecture.layerScope(i)), hidden, context, config);
  }
  const embedding = depth === config.numLayers ? architecture.finalNorm(weights, hidden, config) : hidden;
  return { graph, embedding };
}
