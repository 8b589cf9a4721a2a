import type { EmbeddingModel, EmbedOptions } from "../embed/embedding-model.ts";
import type { LoadOptions } from "../embed/load.ts";
import { InputError } from "../errors.ts";
import { type JsonProblem, readJsonObject } from "../files/json.ts";
import { adaptersOf, packagedAdapter } from "../files/known-models.ts";
import { checkTextFile } from "../files/text-lines.ts";
import { adapterIdentity } from "../models/adapter-file.ts";
import { recipeNames } from "../text/named-recipes.ts";
import type { Demonstration, RecipeOptions } from "../text/recipe.ts";
import { readRecipe } from "../text/recipe-fields.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { defaultModel, type ModelFlags } from "./flags.ts";
import { downloadProgress } from "./progress.ts";

export interface LoadedModel {
  readonly model: EmbeddingModel;
  /** `smollm2-135m (stored weights) loaded in 0.8 s`; the time of a download is not in it. */
  readonly loaded: string;
}

/** What a command knows of its own use of the model. */
export interface ModelUse {
  /** Where the flags name none. */
  readonly model?: string;
  /** Whether there will be many texts, for which a worker on each core is worth starting. */
  readonly hasManyTexts?: boolean;
}

/** Loads what the flags say. */
export async function loadModel(
  flags: ModelFlags,
  context: CliContext,
  { model: fallback = defaultModel, hasManyTexts = false }: ModelUse = {},
): Promise<LoadedModel> {
  const { fromFile, recipeName } = await readRecipeFlag(flags.recipe);
  const name = flags.model ?? (await modelNameOf(fromFile, flags.recipe)) ?? fallback;
  const downloads = downloadProgress(context, flags.quiet === true);
  const startedAt = performance.now();
  try {
    const model = await context.load(name, {
      ...loadOptions(flags, fromFile, await readShown(flags.demonstrations), context.signal, downloads.onProgress),
      ...(recipeName === null ? {} : { recipeName }),
      ...(flags.workers === undefined && hasManyTexts ? { workers: "auto" } : {}),
      onWarning(message) {
        if (!flags.quiet) context.stderr.write(`oneword: warning: ${message}\n`);
      },
    });
    const seconds = (performance.now() - (downloads.lastAt() ?? startedAt)) / 1000;
    return { model, loaded: `${model.name} (${model.recipe.precision} weights) loaded in ${seconds.toFixed(1)} s` };
  } finally {
    downloads.stop();
  }
}

function loadOptions(
  flags: ModelFlags,
  fromFile: RecipeOptions,
  demonstrations: readonly Demonstration[] | undefined,
  signal: AbortSignal,
  onProgress: NonNullable<LoadOptions["onProgress"]>,
): LoadOptions {
  const recipe: RecipeOptions = {
    ...fromFile,
    ...(flags.template === undefined ? {} : { template: flags.template }),
    ...(demonstrations === undefined ? {} : { demonstrations }),
    ...(flags.layer === undefined ? {} : { layer: flags.layer }),
    ...(flags.normalize === undefined ? {} : { normalize: flags.normalize }),
  };
  return {
    recipe,
    precision: flags.precision,
    adapter: flags.adapter,
    device: flags.device,
    threads: flags.threads,
    workers: flags.workers,
    offline: flags.offline === true,
    signal,
    onProgress,
  };
}

/** The options of embed and embedStream that the flags set. */
export function embedOptions(flags: ModelFlags, signal: AbortSignal): EmbedOptions {
  return {
    signal,
    truncate: flags.truncate === true,
    normalize: flags.normalize,
    batchTokens: flags.batchTokens,
  };
}

/** The file's demonstrations; their reader is only loaded where there are some. */
export async function readShown(file: string | undefined): Promise<readonly Demonstration[] | undefined> {
  if (file === undefined) return undefined;
  return (await import("../recipes/demonstrations.ts")).readDemonstrations(file);
}

/** What `--recipe` says: the contents of a file, or a recipe's name, which means nothing before the model is known. */
export async function readRecipeFlag(
  recipe: string | undefined,
): Promise<{ readonly fromFile: RecipeOptions; readonly recipeName: string | null }> {
  if (recipe === undefined) return { fromFile: {}, recipeName: null };
  if (recipeNames.includes(recipe)) return { fromFile: {}, recipeName: recipe };
  return { fromFile: await readRecipeFile(recipe), recipeName: null };
}

async function readRecipeFile(file: string): Promise<RecipeOptions> {
  await checkTextFile(file).catch((error: Error) => {
    throw new InputError("bad-recipe", `${error.message} Or name one of ${recipeNames.join(", ")}.`, { cause: error });
  });
  const problem: JsonProblem = (what, cause) => new InputError("bad-recipe", `${file}: ${what}.`, { cause });
  return readRecipe(await readJsonObject(file, problem), file);
}

/** What `--model` would be for the identity in a recipe: the part in front of `@`, or that with an adapter of the package. */
export async function modelNameOf(
  { model, adapter }: RecipeOptions,
  file: string | undefined,
): Promise<string | undefined> {
  if (model === undefined) return undefined;
  const name = /^(.+?)@/.exec(model)?.[1];
  if (name !== undefined && adapter) {
    for (const packaged of adaptersOf(name)) {
      if ((await adapterIdentity(packagedAdapter(packaged)!.folder)) === adapter) return packaged;
    }
  }
  if (name !== undefined) return name;
  throw new UsageError(`${file}: its model is ${model}, a local one. Say where it is with --model.`);
}
