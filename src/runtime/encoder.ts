import { createHash } from "node:crypto";
import { ModelError } from "../errors.ts";
import { graphHash } from "../graph/graph-hash.ts";
import { graphNames, type InferenceGraph } from "../models/build.ts";
import type { Device } from "./device.ts";
import { runtimeVersion, Session, type SessionOptions, Tensor } from "./session.ts";

/** Keys and values of a run-once prefix, as the graph takes them. */
export interface PrefixCache {
  readonly length: number;
  readonly feeds: Readonly<Record<string, Tensor>>;
}

/** What some graphs must know of a sequence besides its tokens; places count from the first id that is run. */
export interface TokenPlaces {
  /** Share of each token in the embedding, from `start` on; for a graph that pools tokens. */
  readonly pool?: { readonly start: number; readonly weights: readonly number[] };
  /** The token that is overwritten by the last one's state; for a graph that moves tokens. */
  readonly placeholder?: number;
}

/** An adapter's tensors by the names of the graph's inputs. */
export type AdapterFeeds = Readonly<Record<string, Tensor>>;

/** Runs an inference graph over batches of token sequences. */
export class Encoder {
  readonly #session: Session;
  readonly #graph: InferenceGraph;
  readonly #empty: PrefixCache;
  readonly #adapter: AdapterFeeds;
  readonly #device: Device;

  private constructor(session: Session, graph: InferenceGraph, device: Device, adapter: AdapterFeeds = {}) {
    this.#session = session;
    this.#device = device;
    this.#graph = graph;
    this.#adapter = adapter;
    this.#empty = { length: 0, feeds: pastFeeds(graph, () => emptyPast(graph)) };
  }

  static async create(graph: InferenceGraph, options: SessionOptions = {}): Promise<Encoder> {
    return new Encoder(await Session.create(graph.graph, options), graph, options.device ?? "cpu");
  }

  /** The same session with an adapter's tensors fed to every run; for a graph with adapters. */
  adapted(adapter: AdapterFeeds): Encoder {
    return new Encoder(this.#session, this.#graph, this.#device, adapter);
  }

  /** Equal where the same tokens give the same states: names the graph, the runtime's version and the device. */
  get graphId(): string {
    const parts = [graphHash(this.#graph.graph), runtimeVersion, this.#device];
    return createHash("sha256").update(parts.join(" ")).digest("hex").slice(0, 16);
  }

  get inputNames(): ReadonlySet<string> {
    return new Set(this.#graph.graph.inputs.map(({ name }) => name));
  }

  /** Numbers of an embedding. */
  get width(): number {
    return Number(this.#graph.graph.outputs.find(({ name }) => name === graphNames.embedding)!.shape[1]);
  }

  /**
   * Embeddings of the last token of every sequence.
   * @param sequences  token ids, none empty; with a prefix only the ids after it
   * @param places     of each sequence, for graphs that need them
   * @returns [batch][hiddenSize]
   * @throws ModelError "nan-output" when a vector holds a NaN or an infinity
   */
  async run(
    sequences: readonly ArrayLike<number>[],
    prefix: PrefixCache = this.#empty,
    places: readonly TokenPlaces[] = [],
  ): Promise<Float32Array[]> {
    const rows = await this.read(sequences, [graphNames.embedding], prefix, places);
    return rows.map(([state]) => state!);
  }

  /** The same for several states of each sequence: the embedding, or those of layers that the graph reads too. [batch][names][hiddenSize] */
  async read(
    sequences: readonly ArrayLike<number>[],
    names: readonly string[],
    prefix: PrefixCache = this.#empty,
    places: readonly TokenPlaces[] = [],
  ): Promise<Float32Array[][]> {
    const outputs = await this.outputs(sequences, names, prefix, places);
    for (const states of outputs.values()) checkFinite(states);
    return sequences.map((_, row) =>
      names.map((name) => {
        const states = outputs.get(name)!;
        const width = states.length / sequences.length;
        return states.slice(row * width, (row + 1) * width);
      }),
    );
  }

  /** Any outputs of the graph, as they come; `sequences` and `prefix` as in `run`. */
  async outputs(
    sequences: readonly ArrayLike<number>[],
    names: readonly string[],
    prefix: PrefixCache = this.#empty,
    places: readonly TokenPlaces[] = [],
  ): Promise<ReadonlyMap<string, Float32Array>> {
    const feeds = {
      ...layoutFeeds(sequences, prefix.length),
      ...placeFeeds(this.#graph, sequences, places),
      ...prefix.feeds,
      ...this.#adapter,
    };
    const outputs = await this.#session.run(feeds, names);
    return new Map(names.map((name) => [name, outputs[name]!.data as Float32Array]));
  }

  /** Keys and values of `ids`, to be put in front of any sequence. */
  async cachePrefix(ids: readonly number[]): Promise<PrefixCache> {
    if (ids.length === 0) return this.#empty;
    if (this.#graph.layers === 0) return { length: ids.length, feeds: {} };
    const names = Array.from({ length: this.#graph.layers }, (_, i) => [
      graphNames.presentKey(i),
      graphNames.presentValue(i),
    ]);
    const outputs = await this.outputs([ids], names.flat(), this.#empty);
    const shape = [this.#graph.numKeyValueHeads, ids.length, this.#graph.headDim];
    const feeds = pastFeeds(this.#graph, (i, part) => {
      const present = outputs.get(part === "key" ? graphNames.presentKey(i) : graphNames.presentValue(i))!;
      return new Tensor("float32", present, shape);
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

/** By default the last token is read and every token stays what it is. */
function placeFeeds(
  { poolsTokens, movesTokens }: InferenceGraph,
  sequences: readonly ArrayLike<number>[],
  places: readonly TokenPlaces[],
): Record<string, Tensor> {
  const tokens = sequences.reduce((sum, ids) => sum + ids.length, 0);
  const weights = new Float32Array(poolsTokens ? sequences.length * tokens : 0);
  const sources = BigInt64Array.from({ length: movesTokens ? tokens : 0 }, (_, token) => BigInt(token));
  let first = 0;
  sequences.forEach(({ length }, row) => {
    const { pool = { start: length - 1, weights: [1] }, placeholder } = places[row] ?? {};
    if (poolsTokens) weights.set(pool.weights, row * tokens + first + pool.start);
    if (movesTokens && placeholder !== undefined) sources[first + placeholder] = BigInt(first + length - 1);
    first += length;
  });
  return {
    ...(poolsTokens ? { [graphNames.poolWeights]: new Tensor("float32", weights, [sequences.length, tokens]) } : {}),
    ...(movesTokens ? { [graphNames.sourceToken]: new Tensor("int64", sources, [tokens]) } : {}),
  };
}

function checkFinite(states: Float32Array): void {
  const bad = states.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  throw new ModelError(
    "nan-output",
    `the model's output holds ${states[bad]}: the weights are damaged, in which case download the model again, or too large for the precision: float32 holds the most.`,
  );
}
