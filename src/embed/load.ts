import { InputError, ModelError } from "../errors.ts";
import { cacheFolder } from "../files/cache-folder.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { resolveModel } from "../files/resolve-model.ts";
import { type OpenedCheckpoint, openCheckpoint } from "../models/checkpoint.ts";
import { findArchitecture } from "../models/registry.ts";
import type { Device } from "../runtime/device.ts";
import { checkPrecision, checkStoredWeights, defaultPrecision } from "../runtime/device-precision.ts";
import { multipliesSignedWeights } from "../runtime/int8-support.ts";
import { completeRecipe, type Precision, type RecipeOptions } from "../text/recipe.ts";
import { loadTokenizer, type Tokenizer, tokenizerFromGguf } from "../text/tokenizer.ts";
import { measureActivations } from "./calibration.ts";
import { Embedder } from "./embedder.ts";
import type { EmbeddingModel } from "./embedding-model.ts";

export interface LoadProgress {
  /** What is being fetched or prepared. */
  readonly file: string;
  readonly receivedBytes: number;
  readonly totalBytes?: number;
}

export interface LoadOptions {
  /** Template, demonstrations, clean-up, layer, normalisation: what is left out is the default recipe's. */
  readonly recipe?: RecipeOptions;
  /** How the weights are held; by default `stored` on the CPU, `float16` elsewhere. Wins over the recipe's own. */
  readonly precision?: Precision;
  /** Threads of one operator; by default one for each physical core. */
  readonly threads?: number;
  /** Where to compute: `cpu` (default), or `cuda`, `webgpu`, `coreml`, `dml` where the installed runtime has it. */
  readonly device?: Device;
  /** Never touch the network. */
  readonly offline?: boolean;
  /** Root of the cache; by default ONEWORD_CACHE, else `oneword` in XDG_CACHE_HOME or ~/.cache. */
  readonly cacheDir?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

/**
 * Finds a model, fetches it if need be, and makes it ready to embed.
 * @param model  a known name (`smollm2-135m`), a folder, a .gguf file or a hub id (`facebook/opt-1.3b`)
 * @throws ModelError for files that are missing, damaged or of an unknown architecture; InputError for bad options
 */
export async function load(model = "smollm2-135m", options: LoadOptions = {}): Promise<EmbeddingModel> {
  if (options.threads !== undefined && !(Number.isInteger(options.threads) && options.threads > 0)) {
    throw new InputError("bad-option", `threads is ${options.threads}; it must be a whole number over 0.`);
  }
  const { threads, device, cacheDir, signal, onProgress, offline } = options;
  const files = await resolveModel(model, {
    ...(offline === undefined ? {} : { offline }),
    ...(cacheDir === undefined ? {} : { cacheDir }),
    ...(signal ? { signal } : {}),
    ...(onProgress ? { onProgress } : {}),
  });
  const precision = options.precision ?? options.recipe?.precision ?? defaultPrecision(device ?? "cpu");
  checkPrecision(precision, device ?? "cpu");
  const recipe = completeRecipe(options.recipe ?? {}, { model: files.identity, precision });
  const opened = await openCheckpoint(files, {
    precision,
    cacheFolder: cacheFolder(cacheDir),
    onProgress,
    signal,
    signedWeights: precision !== "int8" || (await multipliesSignedWeights()),
    measure: async (stored) => measureActivations(stored, await openTokenizer(files, stored), signal),
  });
  checkStoredWeights(opened.checkpoint, device ?? "cpu");
  const architecture = findArchitecture(opened.config, opened.configSource);
  return Embedder.create({
    name: files.name,
    architecture,
    config: architecture.readConfig(opened.config, opened.configSource),
    checkpoint: opened.checkpoint,
    openTokenizer: () => openTokenizer(files, opened),
    recipe,
    session: { ...(threads ? { threads } : {}), ...(device ? { device } : {}) },
  });
}

/** The tokenizer that belongs to a model's files. */
export async function openTokenizer(files: ModelFiles, opened: OpenedCheckpoint): Promise<Tokenizer> {
  if (opened.ggufMetadata) return tokenizerFromGguf(opened.ggufMetadata, opened.configSource);
  if (files.tokenizer) return loadTokenizer(files.tokenizer, files.tokenizerConfig);
  throw new ModelError("tokenizer", `${files.name}: tokenizer.json is missing beside ${files.weights.file}.`);
}
