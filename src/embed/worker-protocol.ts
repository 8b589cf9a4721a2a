import {
  CapacityError,
  type CapacityErrorCode,
  InputError,
  type InputErrorCode,
  InternalError,
  type InternalErrorCode,
  ModelError,
  type ModelErrorCode,
  OnewordError,
} from "../errors.ts";
import type { Recipe } from "../text/recipe.ts";
import type { EmbedOptions, RunStatistics } from "./embedding-model.ts";
import type { LoadOptions, LoadProgress } from "./load.ts";

/** What a worker thread is started with: a signal and a function cannot be sent. */
export interface WorkerStart {
  readonly model: string | undefined;
  readonly options: Omit<LoadOptions, "workers" | "signal" | "onProgress" | "onWarning">;
}

export type PlainEmbedOptions = Omit<EmbedOptions, "signal">;

export type Job =
  | {
      readonly kind: "texts";
      readonly texts: readonly string[];
      readonly start: number;
      readonly options: PlainEmbedOptions;
    }
  | { readonly kind: "tokens"; readonly ids: readonly (readonly number[])[]; readonly layer: number | "last" };

export type ToWorker =
  | { readonly kind: "job"; readonly id: number; readonly job: Job }
  /** Stops the job between two runs of the graph. */
  | { readonly kind: "abort"; readonly id: number }
  | { readonly kind: "close" };

/** What is known of a loaded model. */
export interface ModelFacts {
  readonly name: string;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly maxTokens: number;
  readonly recipe: Recipe;
  readonly recipeId: string;
}

export interface JobResult {
  /** [rows, width], one after the other */
  readonly rows: Float32Array;
  readonly count: number;
  /** For texts: tokens of each prompt, and tokens cut from it. */
  readonly tokens: readonly number[];
  readonly truncatedTokens: readonly number[];
  readonly statistics: RunStatistics;
}

export type FromWorker =
  | { readonly kind: "progress"; readonly progress: LoadProgress }
  | { readonly kind: "warning"; readonly message: string }
  | { readonly kind: "ready"; readonly facts: ModelFacts }
  | { readonly kind: "result"; readonly id: number; readonly result: JobResult }
  /** Of a job, or without an id of loading. */
  | { readonly kind: "error"; readonly id?: number; readonly error: PlainError };

/** An error as it is sent between threads, which would otherwise lose its class. */
export interface PlainError {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

export function toPlainError(error: unknown): PlainError {
  if (error instanceof OnewordError) return { name: error.name, code: error.code, message: error.message };
  return { name: "InternalError", code: "runtime", message: error instanceof Error ? error.message : String(error) };
}

export function fromPlainError({ name, code, message }: PlainError): OnewordError {
  if (name === "InputError") return new InputError(code as InputErrorCode, message);
  if (name === "ModelError") return new ModelError(code as ModelErrorCode, message);
  if (name === "CapacityError") return new CapacityError(code as CapacityErrorCode, message);
  return new InternalError(code as InternalErrorCode, message);
}
