import { openTokenizer } from "../embed/load.ts";
import { cacheFolder } from "../files/cache-folder.ts";
import { resolveModel } from "../files/resolve-model.ts";
import type { AdapterConfig } from "../models/adapter-file.ts";
import { openCheckpoint } from "../models/checkpoint.ts";
import { findArchitecture } from "../models/registry.ts";
import type { SessionOptions } from "../runtime/session.ts";
import { completeRecipe } from "../text/complete-recipe.ts";
import type { RecipeOptions } from "../text/recipe.ts";
import type { TrainOptions } from "./options.ts";
import { createPromptEncoder, type PromptEncoder } from "./prompts.ts";
import type { AdaptedModel } from "./training-graph.ts";

export interface TrainingModel {
  readonly adapted: AdaptedModel;
  readonly prompts: PromptEncoder;
  /** For the development sentences, which are not cut. */
  readonly devPrompts: PromptEncoder;
  /** Of the frozen weights. */
  readonly identity: string;
  readonly adapterConfig: AdapterConfig;
  /** What the adapter is trained for, to be kept beside it. */
  readonly recipe: RecipeOptions;
  readonly session: SessionOptions;
}

/** Finds the model, fetches it if need be, and reads what training needs of it. */
export async function openTrainingModel(options: TrainOptions, signal?: AbortSignal): Promise<TrainingModel> {
  const { model, cacheDir, offline, precision, rank, alpha, dropout, targets, device, threads } = options;
  const where = cacheDir === null ? {} : { cacheDir };
  const files = await resolveModel(model, { offline, ...where, ...(signal ? { signal } : {}) });
  const recipe = completeRecipe(options.recipe, { model: files.identity, precision });
  const opened = await openCheckpoint(files, { precision, cacheFolder: cacheFolder(cacheDir ?? undefined), signal });
  const architecture = findArchitecture(opened.config, opened.configSource);
  const config = architecture.readConfig(opened.config, opened.configSource);
  const tokenizer = await openTokenizer(files, opened);
  const prompts = createPromptEncoder(tokenizer, recipe, options.maxSentenceTokens);
  const hasPrefix = prompts.prefix.length > 0;
  const { checkpoint } = opened;
  const { layer } = recipe;
  return {
    adapted: { architecture, config, checkpoint, layer, hasPrefix, rank, alpha, targets, dropout },
    prompts,
    devPrompts: createPromptEncoder(tokenizer, recipe, config.maxPositions),
    identity: files.identity,
    recipe: { template: recipe.template, cleanUp: recipe.cleanUp, demonstrations: recipe.demonstrations, layer },
    adapterConfig: { rank, alpha, dropout, targets, baseModel: files.name },
    session: { device, spins: false, isFrugal: true, ...(threads === null ? {} : { threads }) },
  };
}
