import { InputError } from "../errors.ts";
import { elementCount } from "../files/float-tensors.ts";
import type { Graph } from "../graph/graph.ts";
import { peakBytes } from "../graph/peak-memory.ts";
import { lossGraph } from "./batch-gradients.ts";
import { devBatchTokens } from "./dev-score.ts";
import { type AdaptedModel, buildTrainingGraph } from "./training-graph.ts";

/** Of the process with the runtime and a tokenizer, before there is a graph. */
const processBytes = 150e6;
/** Of a graph's node, here and in the runtime. */
const nodeBytes = 12_000;
/** Of an adapter's parameter: itself, its gradient, two moments, and what the runtime's last run said of its gradient. */
const parameterBytes = 4 * (4 + 1);
/** What the runtime's arena takes over what is in it. */
const arenaFactor = 1.2;

/** At most: anchor, positive and hard negative. */
const textsPerExample = 3;

/** What a training step is made of. */
export interface StepSizes {
  /** Examples of a step. */
  readonly batchSize: number;
  /** Most tokens of one text, the shared prefix not counted. */
  readonly maxTokens: number;
  readonly prefixTokens: number;
  /** Characters of all examples, which are held. */
  readonly characters: number;
}

/**
 * Resident memory of training, as a function of the texts that run at once, from the graphs themselves: weights and nodes
 * of the sessions, the adapter with its optimizer, and the tensors that live at the same time in a run, where every text is
 * as long as it can be.
 */
export class MemoryPlan {
  readonly #sizes: StepSizes;
  readonly #direct: Graph;
  readonly #backward: Graph;
  readonly #forward: Graph;
  readonly #held: number;
  readonly #loss: number;
  readonly #sharesBeginnings: boolean;

  constructor(model: AdaptedModel, sizes: StepSizes) {
    const direct = buildTrainingGraph(model, "loss", 1);
    this.#sizes = sizes;
    this.#sharesBeginnings = model.dropout === 0;
    this.#direct = direct.graph;
    this.#backward = buildTrainingGraph(model, "gradients", 1).graph;
    this.#forward = buildTrainingGraph(model, "embeddings", 1).graph;
    const parameters = direct.tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    this.#held = processBytes + 2 * sizes.characters + parameters * parameterBytes;
    this.#loss = lossBytes(sizes.batchSize, model.config.hiddenSize);
  }

  /** @returns bytes, where the whole batch runs at once */
  get wholeBatch(): number {
    const { batchSize } = this.#sizes;
    const dev = this.#session(this.#forward, Math.ceil(devBatchTokens / this.#sizes.maxTokens));
    return this.#held + this.#session(this.#direct, batchSize * textsPerExample) + dev;
  }

  /**
   * @returns bytes, where `texts` run at once; the way forward and the development score have sessions of their own, and the
   *   whole batch's loss one that keeps what it took
   */
  cached(texts: number): number {
    const { batchSize } = this.#sizes;
    // planBatches lets the grid of texts that share beginnings grow to twice the tokens that are computed
    const rows = this.#sharesBeginnings ? Math.min(2 * texts, textsPerExample * batchSize) : texts;
    const sessions = this.#session(this.#backward, texts, rows) + 2 * this.#session(this.#forward, texts, rows);
    return this.#held + this.#loss + sessions;
  }

  /**
   * The most tokens of one run within `bytes`, or "batch" where the whole batch fits, which computes nothing twice.
   * @throws InputError "bad-option" with the least that is needed
   */
  microBatchTokens(bytes: number): number | "batch" {
    if (this.wholeBatch <= bytes) return "batch";
    const least = this.cached(1);
    if (least > bytes) {
      throw new InputError(
        "bad-option",
        `memory is ${megabytes(bytes)}, but training needs ${megabytes(least)} at least, with one text at a time. Allow more, or lower the rank, or choose precision nf4.`,
      );
    }
    let [fits, tooMany] = [1, this.#sizes.batchSize * textsPerExample + 1];
    while (tooMany - fits > 1) {
      const texts = Math.floor((fits + tooMany) / 2);
      if (this.cached(texts) <= bytes) fits = texts;
      else tooMany = texts;
    }
    return this.#sizes.prefixTokens + fits * this.#sizes.maxTokens;
  }

  /** @param rows  sequences, whose beginnings may be the same tokens, so that they are more than `texts` */
  #session(graph: Graph, texts: number, rows = texts): number {
    const { batchSize, maxTokens, prefixTokens } = this.#sizes;
    const tokens = prefixTokens + texts * maxTokens;
    const length = prefixTokens + maxTokens;
    const sizes = {
      tokens,
      repeats: rows * length - tokens,
      batch: rows,
      rows,
      queries: maxTokens + Math.ceil(prefixTokens / rows),
      slots: 1,
      length,
      pairs: batchSize,
      candidates: batchSize * (textsPerExample - 1),
    };
    return weightBytes(graph) + graph.nodes.length * nodeBytes + arenaFactor * peakBytes(graph, sizes);
  }
}

/** Of a batch's embeddings, the gradients by them, and what the loss makes of them. */
function lossBytes(batchSize: number, hidden: number): number {
  const sizes = {
    batch: batchSize * textsPerExample,
    hidden,
    pairs: batchSize,
    candidates: batchSize * (textsPerExample - 1),
  };
  return 2 * 4 * sizes.batch * hidden + arenaFactor * peakBytes(lossGraph(1), sizes);
}

/** Of the weights; a table, of which a run reads rows, is there as a whole in the end. */
function weightBytes(graph: Graph): number {
  let bytes = 0;
  for (const { data } of graph.initializers.values()) if ("file" in data) bytes += data.length;
  return bytes;
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6).toLocaleString("en-US")} MB`;
