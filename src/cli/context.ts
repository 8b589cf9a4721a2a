import type { EventEmitter } from "node:events";
import type { Readable, Writable } from "node:stream";
import type { EmbeddingModel } from "../embed/embedding-model.ts";
import type { LoadOptions, LoadProgress } from "../embed/load.ts";
import type { PreparedWeights } from "../files/list-prepared.ts";
import type { ModelFiles } from "../files/model-files.ts";
import type { Pruned } from "../files/prune.ts";

export interface PullOptions {
  readonly offline?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** One model on this machine. */
export interface ListedModel {
  readonly name: string;
  readonly source: string;
  readonly bytes: number;
  readonly path: string;
  /** False when a download was cut. */
  readonly complete: boolean;
}

/** What the command line needs of the world; tests bring their own. */
export interface CliDependencies {
  load(model: string, options: LoadOptions): Promise<EmbeddingModel>;
  pullModel(name: string, options: PullOptions): Promise<ModelFiles>;
  listModels(): Promise<readonly ListedModel[]>;
  listPrepared(): Promise<readonly PreparedWeights[]>;
  pruneCache(options: { readonly signal: AbortSignal }): Promise<readonly Pruned[]>;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  /** Emits "SIGINT" and "SIGTERM"; `process`. */
  readonly signals: EventEmitter;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The same, with the signal that says stop. */
export interface CliContext extends CliDependencies {
  readonly signal: AbortSignal;
}
