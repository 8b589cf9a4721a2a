import type { ThreadError } from "../files/thread-error.ts";
import type { RecipeOptions } from "../text/recipe.ts";
import type { Embedder } from "./embedder.ts";
import type { EmbeddingModel, RunStatistics } from "./embedding-model.ts";
import type { LoadOptions, LoadProgress } from "./load.ts";

/** What a worker thread is started with: signals and functions cannot be sent. */
export interface WorkerStart {
  readonly model: string | undefined;
  readonly options: Omit<LoadOptions, "workers" | "signal" | "onProgress" | "onWarning">;
}

/** What is asked of the model in a thread; the options, the last argument, get a signal there. */
export type Method = "embedWindow" | "embedTokens" | "embedLayers" | "explainWindow";
export type Arguments<M extends Method> = Parameters<Embedder[M]>;
export type Outcome<M extends Method> = Awaited<ReturnType<Embedder[M]>>;

/** A view is a model with a recipe of its own over the same weights; 0 is the one that was loaded. */
export type ToWorker =
  | {
      readonly kind: "call";
      readonly id: number;
      readonly view: number;
      readonly method: Method;
      readonly args: readonly unknown[];
    }
  | {
      readonly kind: "open";
      readonly id: number;
      readonly view: number;
      readonly from: number;
      readonly recipe: RecipeOptions;
    }
  /** Stops a call between two runs of the graph. */
  | { readonly kind: "abort"; readonly id: number }
  /** The thread ends with its last view. */
  | { readonly kind: "close"; readonly view: number };

/** What is known of a loaded model. */
export type ModelFacts = Pick<
  EmbeddingModel,
  "name" | "hiddenSize" | "numLayers" | "maxTokens" | "recipe" | "recipeId" | "graphId"
>;

export type FromWorker =
  | { readonly kind: "progress"; readonly progress: LoadProgress }
  | { readonly kind: "warning"; readonly message: string }
  | { readonly kind: "ready"; readonly facts: ModelFacts }
  | {
      readonly kind: "result";
      readonly id: number;
      readonly view: number;
      readonly value: unknown;
      readonly statistics: RunStatistics;
    }
  /** Of a call, or without an id of loading. */
  | { readonly kind: "error"; readonly id?: number; readonly error: ThreadError };
