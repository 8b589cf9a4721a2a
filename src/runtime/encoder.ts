import { ModelError } from "../errors.ts";
import { graphNames, type InferenceGraph } from "../models/build.ts";
import { Session, type SessionOptions, Tensor } from "./session.ts";

/** Keys and values of a run-once prefix, as the graph takes them. */
export interface PrefixCache {
  readonly length: number;
  readonly feeds: Readonly<Record<string, Tensor>>;
}

/** An adapter's tensors by the names of the graph's inputs. */
export type AdapterFeeds = Readonly<Record<string, Tensor>>;

/** Runs an inference graph over batches of token sequences. */
export class Encoder {
  readonly #session: Session;
  readonly #graph: InferenceGraph;
  readonly #empty: PrefixCache;

  private constructor(session: Session, graph: InferenceGraph) {
    this.#session = session;
    this.#graph = graph;
    this.#empty = { length: 0, feeds: pastFeeds(graph, () => emptyPast(graph)) };
  }

  static async create(graph: InferenceGraph, options: SessionOptions = {}): Promise<Encoder> {
    return new Encoder(await Session.create(graph.graph, options), graph);
  }

  /**
   * Embeddings of the last token of every sequence.
   * @param sequences  token ids, none empty; with a prefix only the ids after it
   * @param adapter  for a graph with adapters; the one that the prefix was run with
   * @returns [batch][hiddenSize]
   * @throws ModelError "nan-output" when a vector holds a NaN or an infinity
   */
  async run(
    sequences: readonly ArrayLike<number>[],
    prefix: PrefixCache = this.#empty,
    adapter: AdapterFeeds = {},
  ): Promise<Float32Array[]> {
    const feeds = { ...layoutFeeds(sequences, prefix.length), ...prefix.feeds, ...adapter };
    const { [graphNames.embedding]: embedding } = await this.#session.run(feeds, [graphNames.embedding]);
    const states = embedding!.data as Float32Array;
    checkFinite(states);
    const width = states.length / sequences.length;
    return sequences.map((_, row) => states.slice(row * width, (row + 1) * width));
  }

  /** Any outputs of the graph, as they come; `sequences` and `prefix` as in `run`. */
  async outputs(
    sequences: readonly ArrayLike<number>[],
    names: readonly string[],
    prefix: PrefixCache = this.#empty,
  ): Promise<ReadonlyMap<string, Float32Array>> {
    const outputs = await this.#session.run({ ...layoutFeeds(sequences, prefix.length), ...prefix.feeds }, names);
    return new Map(names.map((name) => [name, outputs[name]!.data as Float32Array]));
  }

  /** Keys and values of `ids`, to be put in front of any sequence. */
  async cachePrefix(ids: readonly number[], adapter: AdapterFeeds = {}): Promise<PrefixCache> {
    if (ids.length === 0) return this.#empty;
    if (this.#graph.layers === 0) return { length: ids.length, feeds: {} };
    const names = Array.from({ length: this.#graph.layers }, (_, i) => [
      graphNames.presentKey(i),
      graphNames.presentValue(i),
    ]);
    const outputs = await this.#session.run(
      { ...layoutFeeds([ids], 0), ...this.#empty.feeds, ...adapter },
      names.flat(),
    );
    const shape = [this.#graph.numKeyValueHeads, ids.length, this.#graph.headDim];
    const feeds = pastFeeds(this.#graph, (i, part) => {
      const present = outputs[part === "key" ? graphNames.presentKey(i) : graphNames.presentValue(i)]!;
      return new Tensor("float32", present.data as Float32Array, shape);
    });
    return { length: ids.length, feeds };
  }

  async close(): Promise<void> {
    await this.#session.close();
  }
}

const emptyPast = (graph: InferenceGraph): Tensor =>
  new Tensor("float32", new Float32Array(0), [graph.numKeyValueHeads, 0, graph.headDim]);

function pastFeeds(
  graph: InferenceGraph,
  tensor: (layer: number, part: "key" | "value") => Tensor,
): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (let i = 0; i < graph.layers; i++) {
    feeds[graphNames.pastKey(i)] = tensor(i, "key");
    feeds[graphNames.pastValue(i)] = tensor(i, "value");
  }
  return feeds;
}

/** Lays sequences one after the other and says where each token is in the padded grid; see buildInferenceGraph. */
export function layoutFeeds(sequences: readonly ArrayLike<number>[], pastLength: number): Record<string, Tensor> {
  const tokens = sequences.reduce((sum, ids) => sum + ids.length, 0);
  const length = sequences.reduce((longest, ids) => Math.max(longest, ids.length), 0);
  const inputIds = new BigInt64Array(tokens);
  const positionIds = new BigInt64Array(tokens);
  const tokenCell = new BigInt64Array(tokens);
  const gridIndex = new BigInt64Array(sequences.length * length); // padding repeats token 0
  const lastToken = new BigInt64Array(sequences.length);
  let token = 0;
  sequences.forEach((ids, row) => {
    for (let i = 0; i < ids.length; i++, token++) {
      inputIds[token] = BigInt(ids[i]!);
      positionIds[token] = BigInt(pastLength + i);
      tokenCell[token] = BigInt(row * length + i);
      gridIndex[row * length + i] = BigInt(token);
    }
    lastToken[row] = BigInt(token - 1);
  });
  const int64 = (data: BigInt64Array, dims: readonly number[]): Tensor => new Tensor("int64", data, dims);
  return {
    [graphNames.inputIds]: int64(inputIds, [tokens]),
    [graphNames.positionIds]: int64(positionIds, [tokens]),
    [graphNames.gridIndex]: int64(gridIndex, [sequences.length, length]),
    [graphNames.tokenCell]: int64(tokenCell, [tokens]),
    [graphNames.lastToken]: int64(lastToken, [sequences.length]),
  };
}

function checkFinite(states: Float32Array): void {
  const bad = states.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  throw new ModelError(
    "nan-output",
    `the model's output holds ${states[bad]}: the weights are damaged or overflow float32. Download the model again.`,
  );
}
