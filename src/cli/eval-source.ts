import { endpointSource } from "../evaluate/endpoint-source.ts";
import { type EvaluationSets, textsOf } from "../evaluate/evaluate.ts";
import { fileSource } from "../evaluate/file-source.ts";
import type { MtebModel } from "../evaluate/mteb.ts";
import { modelSource, type VectorSource } from "../evaluate/vector-source.ts";
import { fieldsBeyondPrompt } from "../text/prompt-parts.ts";
import type { Recipe } from "../text/recipe.ts";
import { defaultTemplate, templates } from "../text/templates.ts";
import type { CliContext } from "./context.ts";
import type { EvalFlags } from "./eval-flags.ts";
import { UsageError } from "./exit-codes.ts";
import { modelForVectors } from "./flags.ts";
import { embedOptions, loadModel } from "./load-model.ts";
import { manyTexts } from "./many-texts.ts";
import { counted } from "./progress.ts";

export interface OpenedSource {
  readonly source: VectorSource;
  readonly mtebModel: MtebModel;
  /** For the summary. */
  readonly loaded: string;
  close(): Promise<void>;
}

/** Where the vectors come from: a model here, a server, or a file. */
export async function openSource(flags: EvalFlags, sets: EvaluationSets, context: CliContext): Promise<OpenedSource> {
  checkSource(flags);
  if (flags.endpoint !== undefined) {
    const options = { model: flags.endpointModel, apiKey: context.env.ONEWORD_ENDPOINT_KEY };
    return foreign(endpointSource(flags.endpoint, options), flags);
  }
  if (flags.vectors !== undefined) return foreign(await fileSource(flags.vectors, [...new Set(textsOf(sets))]), flags);
  const { model, loaded } = await loadModel(flags, context, {
    model: modelForVectors(flags),
    hasManyTexts: new Set(textsOf(sets)).size >= manyTexts,
  });
  const { signal: _, ...options } = embedOptions(flags, context.signal);
  const source = { ...modelSource(model, options), name: flags.name ?? runName(model.name, model.recipe) };
  const weights = model.recipe.model.split("@")[1] ?? model.recipe.model;
  const revision = `${weights}_${model.recipeId}`; // results of other recipes have a place of their own
  return {
    source,
    mtebModel: { name: model.name, revision, hiddenSize: model.hiddenSize, maxTokens: model.maxTokens },
    loaded,
    close: () => model.close(),
  };
}

function foreign(source: VectorSource, { name = source.name }: EvalFlags): OpenedSource {
  const mtebModel = { name, revision: null, hiddenSize: null, maxTokens: null };
  return { source: { ...source, name }, mtebModel, loaded: name, close: async () => {} };
}

/** Flags of a model here, which mean nothing to vectors from elsewhere. */
const modelFlags = [
  "model",
  "recipe",
  "template",
  "demonstrations",
  "layer",
  "adapter",
  "precision",
  "device",
  "threads",
  "workers",
] as const satisfies readonly (keyof EvalFlags)[];

function checkSource(flags: EvalFlags): void {
  const { endpoint, endpointModel, vectors } = flags;
  const sources = ["endpoint", "vectors", ...modelFlags] as const;
  const chosen = sources.filter((name) => flags[name] !== undefined).map((name) => `--${name}`);
  const isForeign = endpoint !== undefined || vectors !== undefined;
  if (isForeign && chosen.length > 1) {
    throw new UsageError(`${chosen.join(" and ")}: vectors come from one of them. Name only one.`);
  }
  if (endpointModel !== undefined && endpoint === undefined)
    throw new UsageError("--endpoint-model goes with --endpoint.");
}

/** The model, and what in its recipe is not the default. */
function runName(model: string, recipe: Recipe): string {
  const { template, demonstrations, precision, layer, adapter } = recipe;
  const known = Object.entries(templates).find(([, text]) => text === template)?.[0] ?? "own template";
  return [
    model,
    ...(precision === "stored" ? [] : [precision]),
    ...(template === defaultTemplate ? [] : [known]),
    ...(demonstrations.length === 0 ? [] : [counted(demonstrations.length, "demonstration")]),
    ...(layer === "last" ? [] : [`layer ${layer}`]),
    ...(adapter === null ? [] : ["adapter"]),
    ...fieldsBeyondPrompt(recipe),
  ].join(", ");
}
