import { InputError } from "../errors.ts";
import type { Adapter } from "../models/adapter-file.ts";
import type { Architecture } from "../models/architecture.ts";
import { buildInferenceGraph, type InferenceGraph } from "../models/build.ts";
import type { DecoderConfig } from "../models/config.ts";
import type { Checkpoint } from "../models/weights.ts";
import { Encoder } from "../runtime/encoder.ts";
import type { SessionOptions } from "../runtime/session.ts";
import type { Recipe } from "../text/recipe.ts";
import { AdapterOnModel } from "./adapter-on-model.ts";
import { remembered } from "./remembered.ts";

/** Adapters by identity. */
export type Adapters = ReadonlyMap<string, Adapter>;

export interface ModelParts {
  readonly architecture: Architecture;
  readonly config: DecoderConfig;
  readonly checkpoint: Checkpoint;
  readonly session: SessionOptions;
  /** That views may choose from. */
  readonly adapters?: Adapters;
  /** Identity of the adapter that the weights hold already; every view is with it. */
  readonly merged?: string | undefined;
}

/** What of a recipe the graph itself must know, and the earlier layers to read in the same pass. */
export interface Reading extends Pick<Recipe, "layer" | "pooling" | "tokenPrepending"> {
  readonly adapter?: string | null;
  readonly alsoRead?: readonly number[];
}

/** A model's sessions, one for each reading, made when first asked for and shared by all that hold the pool. */
export class EncoderPool {
  readonly parts: ModelParts;
  readonly #encoders = new Map<string, Promise<Encoder>>();
  readonly #adapters = new Map<string, AdapterOnModel>();
  readonly #views = new Map<string, Encoder>();
  #holders = 1;

  constructor(parts: ModelParts) {
    this.parts = parts;
  }

  graph({ layer, pooling = "lastToken", tokenPrepending, alsoRead = [], adapter }: Reading): InferenceGraph {
    const { architecture, config, checkpoint } = this.parts;
    const options = {
      alsoRead,
      poolsTokens: pooling !== "lastToken",
      moveTokens: tokenPrepending,
    };
    const lora = this.#adapter(adapter)?.lora;
    return buildInferenceGraph(architecture, config, checkpoint, layer, { ...options, ...(lora ? { lora } : {}) });
  }

  async get(reading: Reading): Promise<Encoder> {
    const encoder = await this.#encoder(reading);
    const adapter = this.#adapter(reading.adapter);
    if (!adapter) return encoder;
    const key = `${this.#key(reading)} ${reading.adapter}`;
    const view = this.#views.get(key) ?? encoder.adapted(adapter.feeds(encoder.inputNames));
    this.#views.set(key, view);
    return view;
  }

  /** Adapters on the same weights share a session, whatever their ranks. */
  #encoder(reading: Reading): Promise<Encoder> {
    return remembered(this.#encoders, this.#key(reading), () =>
      Encoder.create(this.graph(reading), this.parts.session),
    );
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
    this.#views.clear();
  }

  /** @throws InputError "bad-recipe" for an adapter that was not loaded, and for a view without one that is merged */
  #adapter(identity: string | null | undefined): AdapterOnModel | null {
    const { merged } = this.parts;
    if (merged !== undefined && identity !== merged) {
      throw new InputError(
        "bad-recipe",
        `the weights hold the adapter ${merged}, as int8 weights do; a recipe on them must name it. Load the model again without it.`,
      );
    }
    if (!identity || merged !== undefined) return null;
    const known = this.#adapters.get(identity);
    if (known) return known;
    const adapter = this.parts.adapters?.get(identity);
    if (!adapter) {
      throw new InputError(
        "bad-recipe",
        `the recipe's adapter ${identity} is not loaded. Name its folder as an adapter when the model is loaded.`,
      );
    }
    const made = new AdapterOnModel(adapter, this.parts.checkpoint, this.parts.config);
    this.#adapters.set(identity, made);
    return made;
  }

  #key({ layer, pooling = "lastToken", tokenPrepending, alsoRead = [], adapter }: Reading): string {
    const depth = layer === "last" ? this.parts.config.numLayers : layer;
    const adapted = this.#adapter(adapter)?.shapeKey ?? null;
    return JSON.stringify([depth, pooling === "lastToken", tokenPrepending ?? null, alsoRead, adapted]);
  }
}
