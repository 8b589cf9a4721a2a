import { differentiate, lossSeed, type Seed } from "../graph/autodiff.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { slice } from "../graph/ops/shape-ops.ts";
import { accumulateInGemm } from "../graph/rewrite/accumulate-in-gemm.ts";
import { prune } from "../graph/rewrite/prune.ts";
import { resultsWhenReady } from "../graph/rewrite/results-when-ready.ts";
import type { Architecture } from "../models/architecture.ts";
import { buildForwardGraph } from "../models/build-training.ts";
import type { DecoderConfig } from "../models/config.ts";
import { LoraInputs, type LoraTargets, type LoraTensor } from "../models/lora.ts";
import type { Checkpoint } from "../models/weights.ts";
import { Dropout } from "./dropout.ts";
import { infoNce } from "./info-nce.ts";

/** Names of the training graphs' own inputs and outputs. */
export const trainingNames = {
  /** int64 [1]: how many of the embeddings, from the first, are anchors. */
  pairs: "pairs",
  embeddingGradient: "embedding_gradient",
  embedding: "embedding",
  loss: "loss",
  gradient: (tensor: string) => `gradient.${tensor}`,
};

export interface AdaptedModel {
  readonly architecture: Architecture;
  readonly config: DecoderConfig;
  readonly checkpoint: Checkpoint;
  readonly layer: number | "last";
  readonly rank: number;
  readonly alpha: number;
  readonly targets: LoraTargets;
  /** Probability that an element of A's input is dropped; 0 leaves dropout out of the graph. */
  readonly dropout: number;
}

/**
 * What a graph gives besides the gradients by the adapter's tensors. `loss`: the whole batch in one run, anchors, positives
 * and hard negatives one after the other. `embeddings`: the way forward alone. `gradients`: the way back from gradients by
 * the embeddings, for a part of a batch.
 */
export type TrainingGraphKind = "loss" | "embeddings" | "gradients";

export interface TrainingGraph {
  readonly graph: Graph;
  readonly tensors: readonly LoraTensor[];
  /** Widths of the dropout masks that a run is fed. */
  readonly maskWidths: readonly number[];
}

/** Writes a graph of the training: the forward graph, and the gradients by the adapter's tensors. */
export function buildTrainingGraph(model: AdaptedModel, kind: TrainingGraphKind, temperature: number): TrainingGraph {
  const { architecture, config, checkpoint, layer, rank, alpha, targets } = model;
  let lora: LoraInputs | undefined;
  let dropout: Dropout | undefined;
  const { graph, embedding } = buildForwardGraph(architecture, config, checkpoint, {
    layer,
    lora: (inner) => {
      if (model.dropout > 0) dropout = new Dropout(inner);
      lora = new LoraInputs(inner, { rank, scale: alpha / rank, targets, ...(dropout ? { drop: dropout.drop } : {}) });
      return lora.pair;
    },
  });
  lora!.checkTargets();
  const { tensors, values } = lora!;
  if (kind === "embeddings") graph.output(embedding, trainingNames.embedding);
  else {
    const seed = kind === "loss" ? lossOf(embedding, temperature) : givenGradient(embedding);
    const gradients = differentiate([seed], values);
    gradients.forEach((gradient, i) => {
      graph.output(gradient, trainingNames.gradient(tensors[i]!.name));
    });
  }
  prune(graph);
  accumulateInGemm(graph);
  resultsWhenReady(graph);
  return { graph, tensors, maskWidths: dropout?.widths ?? [] };
}

function lossOf(embedding: Value, temperature: number): Seed {
  const { graph } = embedding;
  const pairs = graph.input(trainingNames.pairs, "int64", [1]);
  const anchors = slice(embedding, 0, 0, pairs, "pairs");
  const candidates = slice(embedding, 0, pairs, Number.MAX_SAFE_INTEGER, "candidates");
  const loss = infoNce(anchors, candidates, temperature);
  graph.output(loss, trainingNames.loss);
  return lossSeed(loss);
}

function givenGradient(embedding: Value): Seed {
  const grad = embedding.graph.input(trainingNames.embeddingGradient, "float32", embedding.shape);
  return { value: embedding, grad };
}
