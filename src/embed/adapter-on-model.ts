import { ModelError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import type { Adapter } from "../models/adapter-file.ts";
import type { DecoderConfig } from "../models/config.ts";
import { fittingPairs, type LoraSource } from "../models/lora.ts";
import { isReordered, reorderHeads } from "../models/rope-order.ts";
import type { Checkpoint } from "../models/weights.ts";
import type { AdapterFeeds } from "../runtime/encoder.ts";
import { Tensor } from "../runtime/session.ts";

/** An adapter beside the weights of a model: what it adds to a graph, and what a run is fed. */
export class AdapterOnModel {
  /** Equal for adapters that one graph can serve. */
  readonly shapeKey: string;
  readonly #adapter: Adapter;
  readonly #tensors = new Map<string, Tensor>();

  /** @throws ModelError "weight-missing" for a pair whose weight the model lacks */
  constructor(adapter: Adapter, checkpoint: Checkpoint, config: DecoderConfig) {
    for (const scope of adapter.pairs.keys()) {
      if (checkpoint.tensors.has(`${scope}.weight`)) continue;
      throw new ModelError(
        "weight-missing",
        `${adapter.folder}: the model has no weight "${scope}" to adapt. The adapter is for another model.`,
      );
    }
    this.#adapter = adapter;
    this.shapeKey = [...adapter.pairs.keys()].sort().join();
    for (const [scope, { a, b, scale }] of adapter.pairs) {
      const scaled = b.values.map((value) => value * scale);
      const rows = isReordered(scope, config) ? reorderHeads(scaled, b.shape[0]!, config.headDim, "gguf") : scaled;
      this.#tensors.set(a.name, new Tensor("float32", a.values, a.shape));
      this.#tensors.set(b.name, new Tensor("float32", rows, b.shape));
    }
  }

  readonly lora = (graph: Graph): LoraSource => {
    const sizes = new Map([...this.#adapter.pairs].map(([scope, { a, b }]) => [scope, { a: a.shape, b: b.shape }]));
    return fittingPairs(graph, sizes, this.#adapter.folder);
  };

  /** @param inputNames  of the graph, which may end below the adapter's upper layers */
  feeds(inputNames: ReadonlySet<string>): AdapterFeeds {
    return Object.fromEntries([...this.#tensors].filter(([name]) => inputNames.has(name)));
  }
}
