import { Graph } from "../graph/graph.ts";
import type { Architecture } from "./architecture.ts";
import type { DecoderConfig } from "./config.ts";
import { type Checkpoint, Weights } from "./weights.ts";

/** Names of the graph's input and output. */
export const nextTokenNames = { embedding: "embedding", scores: "scores" };

/**
 * Writes the graph from embeddings of the last layer, float32 [batch, width], to a score of every token of the
 * vocabulary, [batch, vocabSize]: what the model would say next.
 */
export function buildNextTokenGraph(
  architecture: Architecture,
  config: DecoderConfig,
  checkpoint: Checkpoint,
  width: number,
): Graph {
  const graph = new Graph();
  const embedding = graph.input(nextTokenNames.embedding, "float32", ["batch", width]);
  graph.output(architecture.nextToken(new Weights(graph, checkpoint), embedding, config), nextTokenNames.scores);
  return graph;
}
