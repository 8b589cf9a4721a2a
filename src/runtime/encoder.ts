import { createHash } from "node:crypto";
import { ModelError } from "../errors.ts";
import { graphHash } from "../graph/graph-hash.ts";
import { graphNames, type InferenceGraph } from "../models/build.ts";
import { logOfNone } from "../models/token-layout.ts";
import { TokenTree } from "../text/token-tree.ts";
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
  /** The token that is overwritten by the last one's state; for a graph that moves tokens. No other may share it. */
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
    this.#empty = { length: 0, feeds: pastFeeds(graph, logOfNone, () => rowOfZeros(graph)) };
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
   * @param tree    the sequences' token ids, with a prefix only those after it
   * @param places  of each sequence, for graphs that need them
   * @returns [batch][hiddenSize]
   * @throws ModelError "nan-output" when a vector holds a NaN or an infinity
   */
  async run(
    tree: TokenTree,
    prefix: PrefixCache = this.#empty,
    places: readonly TokenPlaces[] = [],
  ): Promise<Float32Array[]> {
    const rows = await this.read(tree, [graphNames.embedding], prefix, places);
    return rows.map(([state]) => state!);
  }

  /** The same for several states of each sequence: the embedding, or those of layers that the graph reads too. [batch][names][hiddenSize] */
  async read(
    tree: TokenTree,
    names: readonly string[],
    prefix: PrefixCache = this.#empty,
    places: readonly TokenPlaces[] = [],
  ): Promise<Float32Array[][]> {
    const outputs = await this.outputs(tree, names, prefix, places);
    for (const states of outputs.values()) checkFinite(states);
    return tree.paths.map((_, row) =>
      names.map((name) => {
        const states = outputs.get(name)!;
        const width = states.length / tree.paths.length;
        return states.slice(row * width, (row + 1) * width);
      }),
    );
  }

  /** Any outputs of the graph, as they come; `tree` and `prefix` as in `run`. */
  async outputs(
    tree: TokenTree,
    names: readonly string[],
    prefix: PrefixCache = this.#empty,
    places: readonly TokenPlaces[] = [],
  ): Promise<ReadonlyMap<string, Float32Array>> {
    const feeds = {
      ...layoutFeeds(tree, prefix.length),
      ...placeFeeds(this.#graph, tree, places),
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
    const outputs = await this.outputs(TokenTree.of([ids]), names.flat(), this.#empty);
    const shape = [this.#graph.numKeyValueHeads, ids.length, this.#graph.headDim];
    const feeds = pastFeeds(this.#graph, 0, (i, part) => {
      const present = outputs.get(part === "key" ? graphNames.presentKey(i) : graphNames.presentValue(i))!;
      return new Tensor("float32", present, shape);
    });
    return { length: ids.length, feeds };
  }

  async close(): Promise<void> {
    await this.#session.close();
  }
}

const rowOfZeros = ({ numKeyValueHeads, headDim }: InferenceGraph): Tensor =>
  new Tensor("float32", new Float32Array(numKeyValueHeads * headDim), [numKeyValueHeads, 1, headDim]);

function pastFeeds(
  graph: InferenceGraph,
  logWeight: number,
  tensor: (layer: number, part: "key" | "value") => Tensor,
): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  if (graph.layers > 0) feeds[graphNames.pastLogWeight] = new Tensor("float32", Float32Array.of(logWeight), [1]);
  for (let i = 0; i < graph.layers; i++) {
    feeds[graphNames.pastKey(i)] = tensor(i, "key");
    feeds[graphNames.pastValue(i)] = tensor(i, "value");
  }
  return feeds;
}

/**
 * Lays tokens one after the other and says where each is in the padded grid of the sequences; see buildInferenceGraph.
 * @param firstCells  of each sequence; by default every one has a row of its own
 */
export function layoutFeeds(
  { ids, positions, paths, longest }: TokenTree,
  pastLength: number,
  firstCells: readonly number[] = paths.map((_, row) => row * longest),
): Record<string, Tensor> {
  const rows = 1 + Math.floor(Math.max(...firstCells) / longest);
  const tokenCell = new BigInt64Array(ids.length).fill(-1n);
  const gridIndex = new BigInt64Array(rows * longest); // padding repeats token 0
  for (const [sequence, path] of paths.entries()) {
    for (const [i, token] of path.entries()) {
      const cell = firstCells[sequence]! + i;
      gridIndex[cell] = BigInt(token);
      if (tokenCell[token] === -1n) tokenCell[token] = BigInt(cell);
    }
  }
  const int64 = (data: BigInt64Array, ...dims: number[]): Tensor => new Tensor("int64", data, dims);
  const positionIds = BigInt64Array.from(positions, (position) => BigInt(pastLength + position));
  const lastToken = BigInt64Array.from(paths, (path) => BigInt(path.at(-1)!));
  return {
    [graphNames.inputIds]: int64(BigInt64Array.from(ids, BigInt), ids.length),
    [graphNames.positionIds]: int64(positionIds, ids.length),
    [graphNames.gridIndex]: int64(gridIndex, rows, longest),
    [graphNames.tokenCell]: int64(tokenCell, ids.length),
    [graphNames.lastToken]: int64(lastToken, paths.length),
  };
}

/** By default the last token is read and every token stays what it is. */
function placeFeeds(
  { poolsTokens, movesTokens }: InferenceGraph,
  { ids: { length: tokens }, paths }: TokenTree,
  places: readonly TokenPlaces[],
): Record<string, Tensor> {
  const weights = new Float32Array(poolsTokens ? paths.length * tokens : 0);
  const sources = BigInt64Array.from({ length: movesTokens ? tokens : 0 }, (_, token) => BigInt(token));
  for (const [row, path] of paths.entries()) {
    const { pool = { start: path.length - 1, weights: [1] }, placeholder } = places[row] ?? {};
    if (poolsTokens) {
      for (const [i, weight] of pool.weights.entries()) weights[row * tokens + path[pool.start + i]!] = weight;
    }
    if (movesTokens && placeholder !== undefined) sources[path[placeholder]!] = BigInt(path.at(-1)!);
  }
  return {
    ...(poolsTokens ? { [graphNames.poolWeights]: new Tensor("float32", weights, [paths.length, tokens]) } : {}),
    ...(movesTokens ? { [graphNames.sourceToken]: new Tensor("int64", sources, [tokens]) } : {}),
  };
}

function checkFinite(states: Float32Array): void {
  const bad = states.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  throw new ModelError(
    "nan-output",
    `a vector holds ${states[bad]}. The weights are damaged: pull the model again; or their precision is too coarse: try float32.`,
  );
}
