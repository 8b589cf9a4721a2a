import type { Architecture } from "../models/architecture.ts";
import { buildInferenceGraph, type InferenceGraph } from "../models/build.ts";
import type { DecoderConfig } from "../models/config.ts";
import type { Checkpoint } from "../models/weights.ts";
import { Encoder } from "../runtime/encoder.ts";
import type { SessionOptions } from "../runtime/session.ts";
import type { Recipe } from "../text/recipe.ts";

export interface ModelParts {
  readonly architecture: Architecture;
  readonly config: DecoderConfig;
  readonly checkpoint: Checkpoint;
  readonly session: SessionOptions;
}

/** What of a recipe the graph itself must know, and the earlier layers to read in the same pass. */
export interface Reading extends Pick<Recipe, "layer" | "pooling" | "tokenPrepending"> {
  readonly alsoRead?: readonly number[];
}

/** A model's sessions, one for each reading, made when first asked for and shared by all that hold the pool. */
export class EncoderPool {
  readonly parts: ModelParts;
  readonly #encoders = new Map<string, Promise<Encoder>>();
  #holders = 1;

  constructor(parts: ModelParts) {
    this.parts = parts;
  }

  graph({ layer, pooling = "lastToken", tokenPrepending, alsoRead = [] }: Reading): InferenceGraph {
    const { architecture, config, checkpoint } = this.parts;
    const options = { alsoRead, poolsTokens: pooling !== "lastToken", moveTokens: tokenPrepending };
    return buildInferenceGraph(architecture, config, checkpoint, layer, options);
  }

  get(reading: Reading): Promise<Encoder> {
    const key = this.#key(reading);
    let encoder = this.#encoders.get(key);
    if (!encoder) {
      encoder = Encoder.create(this.graph(reading), this.parts.session);
      this.#encoders.set(key, encoder);
      encoder.catch(() => this.#encoders.delete(key)); // whoever awaits it sees the error; the next one tries again
    }
    return encoder;
  }

  hold(): this {
    this.#holders++;
    return this;
  }

  /** Closes the sessions when the last holder lets go. */
  async release(): Promise<void> {
    if (--this.#holders > 0) return;
    for (const encoder of this.#encoders.values()) await (await encoder).close();
    this.#encoders.clear();
  }

  #key({ layer, pooling = "lastToken", tokenPrepending, alsoRead = [] }: Reading): string {
    const depth = layer === "last" ? this.parts.config.numLayers : layer;
    return JSON.stringify([depth, pooling === "lastToken", tokenPrepending ?? null, alsoRead]);
  }
}
