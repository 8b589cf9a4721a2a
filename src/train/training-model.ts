import { type LoadOptions, openTokenizer } from "../embed/load.ts";
import { InputError } from "../errors.ts";
import { cacheFolder } from "../files/cache-folder.ts";
import { packagedAdapter } from "../files/known-models.ts";
import { resolveModel } from "../files/resolve-model.ts";
import type { AdapterConfig } from "../models/adapter-file.ts";
import { openCheckpoint } from "../models/checkpoint.ts";
import { findArchitecture } from "../models/registry.ts";
import { checkDevice, type SessionOptions } from "../runtime/session.ts";
import { completeRecipe, differingModel } from "../text/complete-recipe.ts";
import { namedRecipe } from "../text/named-recipes.ts";
import type { Recipe, RecipeOptions } from "../text/recipe.ts";
import type { TrainOptions } from "./options.ts";
import { createPromptEncoder, type PromptEncoder } from "./prompts.ts";
import type { AdaptedModel } from "./training-graph.ts";

export interface TrainingModel {
  readonly adapted: AdaptedModel;
  readonly prompts: PromptEncoder;
  /** For the development sentences, which may be as long as the model takes. */
  readonly devPrompts: PromptEncoder;
  /** Of the frozen weights. */
  readonly identity: string;
  readonly adapterConfig: AdapterConfig;
  /** What was asked for that is not the default, that of a name included. */
  readonly asked: RecipeOptions;
  /** What the adapter is trained for, to be kept beside it. */
  readonly recipe: RecipeOptions;
  readonly session: SessionOptions;
}

/** Finds the model, fetches it if need be, and reads what training needs of it. */
export async function openTrainingModel(
  options: TrainOptions,
  { signal, onProgress, onWarning }: Pick<LoadOptions, "signal" | "onProgress" | "onWarning"> = {},
): Promise<TrainingModel> {
  const { model, cacheDir, offline, precision, rank, alpha, dropout, targets, device, threads } = options;
  await checkDevice(device);
  const files = await resolveModel(model, { offline, cacheDir: cacheDir ?? undefined, signal, onProgress });
  const packaged = files.source === "path" ? null : packagedAdapter(model);
  if (packaged) {
    const advice = `Train on ${packaged.base}; the adapter starts anew.`;
    throw new InputError("bad-option", `the model ${model} is ${packaged.base} with an adapter already. ${advice}`);
  }
  const named = options.recipeName === null ? {} : await namedRecipe(options.recipeName, files.identity);
  const asked = { ...named, ...options.recipe };
  const other = differingModel(asked, files.identity);
  if (other !== null) onWarning?.(`the recipe is for ${other}, but the model is ${files.identity}.`);
  const recipe = completeRecipe(asked, { model: files.identity, precision });
  const opened = await openCheckpoint(files, {
    precision,
    cacheFolder: cacheFolder(cacheDir ?? undefined),
    onProgress,
    signal,
    isTrained: true,
  });
  const architecture = findArchitecture(opened.config, opened.configSource);
  const config = architecture.readConfig(opened.config, opened.configSource);
  if (rank > config.hiddenSize) {
    const advice = `more than the model's ${config.hiddenSize} numbers of a token gives nothing. Lower it.`;
    throw new InputError("bad-option", `rank is ${rank}; ${advice}`);
  }
  const tokenizer = await openTokenizer(files, opened);
  const prompts = createPromptEncoder(tokenizer, recipe, options.maxSentenceTokens);
  const longest = prompts.maxTokens;
  if (longest > config.maxPositions) {
    throw new InputError(
      "bad-option",
      `maxSentenceTokens is ${options.maxSentenceTokens}, which with the prompt around it makes ${longest} tokens; the model takes ${config.maxPositions}. Lower it.`,
    );
  }
  const { checkpoint } = opened;
  const { layer } = recipe;
  return {
    adapted: { architecture, config, checkpoint, layer, rank, alpha, targets, dropout },
    prompts,
    devPrompts: createPromptEncoder(tokenizer, recipe, options.maxSentenceTokens + config.maxPositions - longest),
    identity: files.identity,
    asked: withoutDefaults(asked, recipe, completeRecipe({}, { model: files.identity, precision })),
    recipe: { template: recipe.template, cleanUp: recipe.cleanUp, demonstrations: recipe.demonstrations, layer },
    adapterConfig: { rank, alpha, dropout, targets, baseModel: files.name },
    session: { device, spins: false, isFrugal: true, threads: threads ?? undefined },
  };
}

/** What was asked for without fields that have their defaults then, so that a default may be spelt out. */
function withoutDefaults(asked: RecipeOptions, completed: Recipe, defaults: Recipe): RecipeOptions {
  const isUnusual = (key: string): boolean =>
    JSON.stringify(completed[key as keyof Recipe]) !== JSON.stringify(defaults[key as keyof Recipe]);
  return Object.fromEntries(Object.entries(asked).filter(([key]) => isUnusual(key)));
}
