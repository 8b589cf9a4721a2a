import { elementCount } from "../files/float-tensors.ts";
import { differentiate, lossSeed } from "../graph/autodiff.ts";
import { Graph } from "../graph/graph.ts";
import { slice } from "../graph/ops/shape-ops.ts";
import { prune } from "../graph/rewrite/prune.ts";
import { discard, Session, type SessionOptions, Tensor } from "../runtime/session.ts";
import { planBatches, stopIfAborted } from "../text/batch.ts";
import { type TokenSequence, TokenTree } from "../text/token-tree.ts";
import { dropoutFeeds } from "./dropout.ts";
import { infoNce } from "./info-nce.ts";
import { packedLayoutFeeds } from "./packed-layout.ts";
import type { FlatTensors } from "./parameters.ts";
import { type AdaptedModel, buildTrainingGraph, type TrainingGraph, trainingNames } from "./training-graph.ts";

/** Token ids of one step's texts, template included. */
export interface TrainingBatch {
  /** How many ids all sequences begin with. */
  readonly prefixTokens: number;
  readonly anchors: readonly (readonly number[])[];
  /** One for each anchor, in the same order. */
  readonly positives: readonly (readonly number[])[];
  /** Any number; a triple's is against every anchor of the batch. */
  readonly hardNegatives: readonly (readonly number[])[];
}

/** What a batch says about an adapter. */
export interface BatchResult {
  /** Nats. */
  readonly loss: number;
  /** By each of the engine's tensors, in their order; there until the next batch. */
  readonly gradients: readonly Float32Array[];
}

/** Loss of a batch, and the gradients by an adapter's parameters. */
export interface BatchGradients {
  readonly tensors: TrainingGraph["tensors"];
  /**
   * @param seed    of the dropout masks
   * @param signal  heeded between two runs
   * @throws InputError "aborted"
   */
  compute(batch: TrainingBatch, parameters: FlatTensors, seed?: number, signal?: AbortSignal): Promise<BatchResult>;
  close(): Promise<void>;
}

type Feeds = Record<string, Tensor>;

export const parameterFeeds = (parameters: FlatTensors): Feeds =>
  Object.fromEntries(
    parameters.tensors.map(({ name, shape }) => [name, new Tensor("float32", parameters.view(name), shape)]),
  );

const pairsFeed = (count: number): Tensor => new Tensor("int64", BigInt64Array.of(BigInt(count)), [1]);

const gradientNames = (graph: TrainingGraph): string[] => graph.tensors.map(({ name }) => trainingNames.gradient(name));

/** What the runs of a training graph are fed. */
class RunFeeds {
  readonly #dropout: number;
  readonly #maskWidths: readonly number[];

  constructor({ dropout }: AdaptedModel, { maskWidths }: TrainingGraph) {
    this.#dropout = dropout;
    this.#maskWidths = maskWidths;
  }

  /**
   * All texts of a batch. What several begin with is computed once; under dropout the prefix alone, since every token of a text
   * has a mask of its own there: nothing else tells two copies of it apart.
   */
  sequences({ prefixTokens, anchors, positives, hardNegatives }: TrainingBatch): TokenSequence[] {
    const shareable = this.#dropout > 0 ? { shareable: prefixTokens } : {};
    return [...anchors, ...positives, ...hardNegatives].map((ids) => ({ ids, ...shareable }));
  }

  /** @param seed  of the dropout masks */
  of(tree: TokenTree, parameters: FlatTensors, seed: number): Feeds {
    return {
      ...packedLayoutFeeds(tree),
      ...parameterFeeds(parameters),
      ...dropoutFeeds(this.#maskWidths, this.#dropout, seed),
    };
  }
}

/** The whole batch in one run: nothing is computed twice, but all activations are held. */
export class DirectGradients implements BatchGradients {
  readonly tensors: TrainingGraph["tensors"];
  readonly #session: Session;
  readonly #gradientNames: readonly string[];
  readonly #feeds: RunFeeds;
  /** Those of the last batch, of which there is no copy. */
  #results: Readonly<Record<string, Tensor>> = {};

  private constructor(model: AdaptedModel, graph: TrainingGraph, session: Session) {
    this.tensors = graph.tensors;
    this.#feeds = new RunFeeds(model, graph);
    this.#session = session;
    this.#gradientNames = gradientNames(graph);
  }

  static async create(model: AdaptedModel, temperature: number, options: SessionOptions): Promise<DirectGradients> {
    const graph = buildTrainingGraph(model, "loss", temperature);
    return new DirectGradients(model, graph, await Session.create(graph.graph, options));
  }

  async compute(batch: TrainingBatch, parameters: FlatTensors, seed = 0): Promise<BatchResult> {
    discard(this.#results);
    this.#results = {};
    const tree = new TokenTree();
    for (const sequence of this.#feeds.sequences(batch)) tree.add(sequence);
    const feeds = {
      ...this.#feeds.of(tree, parameters, seed),
      [trainingNames.pairs]: pairsFeed(batch.anchors.length),
    };
    const results = await this.#session.run(feeds, [trainingNames.loss, ...this.#gradientNames]);
    this.#results = results;
    return {
      loss: results[trainingNames.loss]!.data[0] as number,
      gradients: this.#gradientNames.map((name) => results[name]!.data as Float32Array),
    };
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

/**
 * The same numbers in bounded memory: the embeddings of all texts first, then the loss and its gradients by the embeddings,
 * then forward and back once more for a part of the texts at a time.
 * @see GradCache, arXiv 2101.06983
 */
export class CachedGradients implements BatchGradients {
  readonly tensors: TrainingGraph["tensors"];
  readonly #forward: Session;
  readonly #loss: Session;
  readonly #backward: Session;
  readonly #gradientNames: readonly string[];
  readonly #microBatchTokens: number;
  readonly #feeds: RunFeeds;
  readonly #sums: readonly Float32Array[];

  private constructor(
    model: AdaptedModel,
    graph: TrainingGraph,
    [forward, loss, backward]: readonly Session[],
    microBatchTokens: number,
  ) {
    this.tensors = graph.tensors;
    this.#feeds = new RunFeeds(model, graph);
    [this.#forward, this.#loss, this.#backward] = [forward!, loss!, backward!];
    this.#gradientNames = gradientNames(graph);
    this.#microBatchTokens = microBatchTokens;
    this.#sums = graph.tensors.map(({ shape }) => new Float32Array(elementCount(shape)));
  }

  /** @param microBatchTokens  most tokens of one run; it bounds the activations that are held */
  static async create(
    model: AdaptedModel,
    temperature: number,
    options: SessionOptions,
    microBatchTokens: number,
  ): Promise<CachedGradients> {
    const graph = buildTrainingGraph(model, "gradients", temperature);
    const forward = buildTrainingGraph(model, "embeddings", temperature);
    const sessions: Session[] = [];
    try {
      for (const each of [forward.graph, lossGraph(temperature), graph.graph]) {
        sessions.push(await Session.create(each, options));
      }
    } catch (error) {
      await Promise.all(sessions.map((session) => session.close()));
      throw error;
    }
    return new CachedGradients(model, graph, sessions, microBatchTokens);
  }

  async compute(batch: TrainingBatch, parameters: FlatTensors, seed = 0, signal?: AbortSignal): Promise<BatchResult> {
    const sequences = this.#feeds.sequences(batch);
    const plan = { maxBatchTokens: this.#microBatchTokens, prefixTokens: batch.prefixTokens };
    const parts = Array.from(planBatches(sequences, plan), ({ indexes, tree }, part) => ({
      rows: indexes,
      feeds: () => this.#feeds.of(tree, parameters, seed + part), // made for each run: all parts' masks are more than a run
    }));
    const embeddings = await this.#embed(parts, sequences.length, signal);
    const { loss, grad } = await this.#lossOf(embeddings, batch.anchors.length);
    for (const sum of this.#sums) sum.fill(0);
    for (const { rows, feeds } of parts) {
      stopIfAborted(signal);
      const rowGrads = takeRows(grad, rows);
      const outputs = await this.#backward.run(
        { ...feeds(), [trainingNames.embeddingGradient]: rowGrads },
        this.#gradientNames,
      );
      for (const [i, name] of this.#gradientNames.entries()) {
        addTo(this.#sums[i]!, outputs[name]!.data as Float32Array);
      }
      discard(outputs);
    }
    return { loss, gradients: this.#sums };
  }

  async #embed(
    parts: readonly { readonly rows: readonly number[]; readonly feeds: () => Feeds }[],
    count: number,
    signal: AbortSignal | undefined,
  ): Promise<Tensor> {
    let all: Float32Array | undefined;
    let width = 0;
    for (const { rows, feeds } of parts) {
      stopIfAborted(signal);
      const outputs = await this.#forward.run(feeds(), [trainingNames.embedding]);
      const { data, dims } = outputs[trainingNames.embedding]!;
      width = dims[1]!;
      all ??= new Float32Array(count * width);
      for (const [i, row] of rows.entries()) {
        all.set((data as Float32Array).subarray(i * width, (i + 1) * width), row * width);
      }
    }
    return new Tensor("float32", all!, [count, width]);
  }

  async #lossOf(embeddings: Tensor, pairs: number): Promise<{ loss: number; grad: Tensor }> {
    const names = [trainingNames.loss, trainingNames.embeddingGradient];
    const feeds = { [trainingNames.embedding]: embeddings, [trainingNames.pairs]: pairsFeed(pairs) };
    const outputs = await this.#loss.run(feeds, names);
    return { loss: outputs[names[0]!]!.data[0] as number, grad: outputs[names[1]!]! };
  }

  async close(): Promise<void> {
    for (const session of [this.#forward, this.#loss, this.#backward]) await session.close();
  }
}

/** From embeddings to the loss and its gradient by them. */
export function lossGraph(temperature: number): Graph {
  const graph = new Graph();
  const embedding = graph.input(trainingNames.embedding, "float32", ["batch", "hidden"]);
  const pairs = graph.input(trainingNames.pairs, "int64", [1]);
  const loss = infoNce(
    slice(embedding, 0, 0, pairs, "pairs"),
    slice(embedding, 0, pairs, Number.MAX_SAFE_INTEGER, "candidates"),
    temperature,
  );
  graph.output(loss, trainingNames.loss);
  graph.output(differentiate([lossSeed(loss)], [embedding])[0]!, trainingNames.embeddingGradient);
  prune(graph);
  return graph;
}

function takeRows({ data, dims }: Tensor, rows: readonly number[]): Tensor {
  const width = dims[1]!;
  const taken = new Float32Array(rows.length * width);
  rows.forEach((row, i) => {
    taken.set((data as Float32Array).subarray(row * width, (row + 1) * width), i * width);
  });
  return new Tensor("float32", taken, [rows.length, width]);
}

function addTo(sum: Float32Array, values: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
}
