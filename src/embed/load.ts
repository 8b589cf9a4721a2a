import { availableParallelism, freemem } from "node:os";
import { InputError, ModelError } from "../errors.ts";
import { cacheFolder } from "../files/cache-folder.ts";
import { defaultModel } from "../files/known-models.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { resolveModel } from "../files/resolve-model.ts";
import { readAdapter } from "../models/adapter-file.ts";
import { type OpenedCheckpoint, openCheckpoint } from "../models/checkpoint.ts";
import { findArchitecture } from "../models/registry.ts";
import type { Device } from "../runtime/device.ts";
import { checkPrecision, checkStoredWeights, defaultPrecision } from "../runtime/device-precision.ts";
import { multipliesSignedWeights } from "../runtime/int8-support.ts";
import { checkDevice } from "../runtime/session.ts";
import { completeRecipe, differingModel } from "../text/complete-recipe.ts";
import { bestRecipe, namedRecipe } from "../text/named-recipes.ts";
import { type Precision, precisions, type Recipe, type RecipeOptions } from "../text/recipe.ts";
import { loadTokenizer, type Tokenizer, tokenizerFromGguf } from "../text/tokenizer.ts";
import { adapterFolder, readAdapterRecipe } from "./adapter-recipe.ts";
import { measureActivations } from "./calibration.ts";
import { checkCount } from "./check-count.ts";
import { chooseWorkers, weightBytes } from "./choose-workers.ts";
import { Embedder } from "./embedder.ts";
import type { EmbeddingModel } from "./embedding-model.ts";
import type { Adapters } from "./encoder-pool.ts";
import { physicalCores } from "./physical-cores.ts";

export interface LoadProgress {
  /** Weights are measured and prepared once, then they are in the cache; `fetching` by default. */
  readonly action?: "fetching" | "preparing" | "measuring";
  /** What is being fetched, prepared or measured. */
  readonly file: string;
  readonly receivedBytes: number;
  readonly totalBytes?: number;
}

export interface LoadOptions {
  /** Template, demonstrations, clean-up, layer, normalisation …: what is left out is the default recipe's. */
  readonly recipe?: RecipeOptions | undefined;
  /** A recipe by name, such as `best` or `metaEol`; it wins over the adapter's own, and `recipe` over its fields. */
  readonly recipeName?: string | undefined;
  /** Told what is not an error but may surprise: a recipe that was made for another model. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /**
   * Folder of a LoRA adapter in PEFT's form that the vectors are made with. A recipe.json in it, as training writes, says the
   * layer and the template it was trained for.
   */
  readonly adapter?: string | undefined;
  /** Further adapters, for views: `model.withRecipe({ adapter: identity })`. They share the weights in memory. */
  readonly adapters?: readonly string[] | undefined;
  /** How the weights are held; by default `stored` on the CPU, `float16` elsewhere. Wins over the recipe's own. */
  readonly precision?: Precision | undefined;
  /** Threads of one operator; by default one for each physical core. */
  readonly threads?: number | undefined;
  /**
   * Threads that each hold the model and run it by themselves, with one thread for an operator unless `threads` says more;
   * 1 by default. For many texts on many cores, or on cores that other work shares. `auto` for one on each core where the
   * copies of the weights are a small part of the memory that is free; see chooseWorkers. At most four for each core.
   */
  readonly workers?: number | "auto" | undefined;
  /** Where to compute: `cpu` (default), or `cuda`, `webgpu`, `coreml`, `dml` where the installed runtime has it. */
  readonly device?: Device | undefined;
  /** Never touch the network. */
  readonly offline?: boolean | undefined;
  /** Root of the cache; by default ONEWORD_CACHE, else `oneword` in XDG_CACHE_HOME or ~/.cache. */
  readonly cacheDir?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** The process dies of very many. */
const mostThreads = 4 * availableParallelism();

/**
 * Finds a model, fetches it if need be, and makes it ready to embed.
 * @param model  a known name (`smollm2-135m`, `smollm2-135m-nli` with its adapter), a folder, a .gguf file or a hub id (`facebook/opt-1.3b`)
 * @throws ModelError for files that are missing, damaged or of an unknown architecture; InputError for bad options
 */
export async function load(model?: string, options: LoadOptions = {}): Promise<EmbeddingModel> {
  const { workers = 1 } = options;
  if (workers === "auto") return loadWithFittingWorkers(model, options);
  if (!(Number.isInteger(workers) && workers > 0)) {
    throw new InputError("bad-option", `workers is ${workers}; it must be a whole number over 0, or "auto".`);
  }
  if (workers > mostThreads) {
    const advice = `Each holds the model once more; this machine takes ${mostThreads} at most, and one for each core is fastest.`;
    throw new InputError("bad-option", `workers is ${workers}. ${advice}`);
  }
  return workers === 1 ? loadEmbedder(model, options) : loadPool(model, options, workers);
}

/** Makes the weights ready, which says how much memory a worker takes, and then the workers. */
async function loadWithFittingWorkers(model: string | undefined, options: LoadOptions): Promise<EmbeddingModel> {
  const opened = await openModel(model, options);
  const workers = chooseWorkers({
    device: options.device ?? "cpu",
    threads: options.threads,
    cores: physicalCores(),
    weightBytes: weightBytes(opened.checkpoint.tensors.values()),
    freeBytes: process.availableMemory?.() ?? freemem(), // Node 20.13 has the first, which knows of a container's limit
  });
  const { onWarning: _, ...heeded } = options; // a warning has been given
  return workers === 1 ? embedderOf(opened, options) : loadPool(model, heeded, workers);
}

async function loadPool(model: string | undefined, options: LoadOptions, workers: number): Promise<EmbeddingModel> {
  const { WorkerPool } = await import("./worker-pool.ts"); // most need none
  return WorkerPool.create(model, options, workers);
}

/** The model in this thread. */
export async function loadEmbedder(model?: string, options: LoadOptions = {}): Promise<Embedder> {
  return embedderOf(await openModel(model, options), options);
}

function checkThreads(threads: number | undefined): void {
  checkCount("threads", threads);
  if (threads !== undefined && threads > mostThreads) {
    throw new InputError("bad-option", `threads is ${threads}; this machine takes ${mostThreads} at most.`);
  }
}

/** Before a model is fetched for nothing. What a recipe's file says is checked where it is read. */
function checkKnown(precision: Precision | undefined): void {
  if (precision === undefined || precisions.includes(precision)) return;
  throw new InputError("bad-option", `precision is ${precision}; there are ${precisions.join(", ")}.`);
}

interface OpenedModel extends OpenedCheckpoint {
  readonly files: ModelFiles;
  readonly recipe: Recipe;
  readonly adapters: Adapters;
  /** Identity of the adapter that the weights hold. */
  readonly merged: string | undefined;
}

/** All that comes before the runtime: files and weights at hand and ready, options checked. */
async function openModel(model: string = defaultModel.name, options: LoadOptions = {}): Promise<OpenedModel> {
  checkThreads(options.threads);
  checkKnown(options.precision ?? options.recipe?.precision);
  const { device = "cpu", cacheDir, signal, onProgress, offline } = options;
  const files = await resolveModel(model, { offline, cacheDir, signal, onProgress });
  const { adapters, adapter } = await readAdapters(adapterFolder(files, options.adapter), options.adapters);
  if (options.recipeName === bestRecipe && adapter) {
    const advice = "Name the model without its adapter, or leave the recipe out.";
    throw new InputError("bad-recipe", `the recipe ${bestRecipe} is for a model without an adapter. ${advice}`);
  }
  const named = options.recipeName === undefined ? {} : await namedRecipe(options.recipeName, files.identity);
  const chosen = { ...adapter?.recipe, ...named, ...options.recipe, ...(adapter ? { adapter: adapter.identity } : {}) };
  const precision = options.precision ?? chosen.precision ?? defaultPrecision(device);
  checkPrecision(precision, device);
  await checkDevice(device, precision === "float16" ? precision : "float32");
  if (precision === "int8" && (options.adapters?.length ?? 0) > 0) {
    throw new InputError(
      "bad-option",
      "int8 weights hold their adapter, so there can be no further ones to choose from. Choose another precision.",
    );
  }
  const merged = precision === "int8" && adapter ? adapters.get(adapter.identity) : undefined;
  const recipe = completeRecipe(chosen, { model: files.identity, precision });
  const asked = options.recipe?.adapter;
  if (adapter && asked && asked !== adapter.identity) {
    options.onWarning?.(`the recipe is for the adapter ${asked}, but the one on the model is ${adapter.identity}.`);
  }
  const other = differingModel(chosen, files.identity);
  if (other !== null) options.onWarning?.(`the recipe is for ${other}, but the model is ${files.identity}.`);
  const opened = await openCheckpoint(files, {
    precision,
    cacheFolder: cacheFolder(cacheDir),
    onProgress,
    signal,
    merged,
    signedWeights: precision !== "int8" || (await multipliesSignedWeights()),
    measure: async (stored) =>
      measureActivations(stored, await openTokenizer(files, stored), { adapter: merged, signal }),
  });
  checkStoredWeights(opened.checkpoint, device);
  return { ...opened, files, recipe, adapters, merged: merged?.identity };
}

function embedderOf({ files, recipe, adapters, merged, ...opened }: OpenedModel, { threads, device }: LoadOptions) {
  const architecture = findArchitecture(opened.config, opened.configSource);
  return Embedder.create({
    name: files.name,
    architecture,
    config: architecture.readConfig(opened.config, opened.configSource),
    checkpoint: opened.checkpoint,
    openTokenizer: () => openTokenizer(files, opened),
    recipe,
    adapters,
    merged,
    session: { threads, device },
  });
}

/** Adapters by identity, and the chosen one with what its folder says of its recipe. */
async function readAdapters(chosen: string | null, further: readonly string[] = []) {
  const read = await Promise.all([...(chosen === null ? [] : [chosen]), ...further].map(readAdapter));
  const first = chosen === null ? null : read[0]!;
  const adapter = first && { identity: first.identity, recipe: await readAdapterRecipe(first.folder) };
  return { adapters: new Map(read.map((one) => [one.identity, one])), adapter };
}

/** The tokenizer that belongs to a model's files. */
export async function openTokenizer(files: ModelFiles, opened: OpenedCheckpoint): Promise<Tokenizer> {
  if (opened.ggufMetadata) return tokenizerFromGguf(opened.ggufMetadata, opened.configSource);
  if (files.tokenizer) return loadTokenizer(files.tokenizer, files.tokenizerConfig);
  throw new ModelError("tokenizer", `${files.name}: tokenizer.json is missing beside ${files.weights.file}.`);
}
