import type { Graph } from "../graph/graph.ts";
import type { Adapter } from "../models/adapter-file.ts";
import type { DecoderConfig } from "../models/config.ts";
import { inputPairs, type LoraSource } from "../models/lora.ts";
import { checkPairs, scaledRows } from "../models/merge-adapter.ts";
import type { Checkpoint } from "../models/weights.ts";
import type { AdapterFeeds } from "../runtime/encoder.ts";
import { Tensor } from "../runtime/session.ts";

/** An adapter beside the weights of a model: what it adds to a graph, and what a run is fed. */
export class AdapterOnModel {
  /** Equal for adapters that one graph can serve. */
  readonly shapeKey: string;
  readonly #scopes: ReadonlySet<string>;
  readonly #tensors = new Map<string, Tensor>();

  /** @throws as checkPairs */
  constructor(adapter: Adapter, checkpoint: Checkpoint, config: DecoderConfig) {
    checkPairs(adapter, checkpoint.tensors);
    this.#scopes = new Set(adapter.pairs.keys());
    this.shapeKey = [...this.#scopes].sort().join();
    for (const [scope, pair] of adapter.pairs) {
      const { a, b } = pair;
      this.#tensors.set(a.name, new Tensor("float32", a.values, a.shape));
      this.#tensors.set(b.name, new Tensor("float32", scaledRows(scope, pair, config), b.shape));
    }
  }

  readonly lora = (graph: Graph): LoraSource => inputPairs(graph, this.#scopes);

  /** @param inputNames  of the graph, which may end below the adapter's upper layers */
  feeds(inputNames: ReadonlySet<string>): AdapterFeeds {
    return Object.fromEntries([...this.#tensors].filter(([name]) => inputNames.has(name)));
  }
}
