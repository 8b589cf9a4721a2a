import { createHash } from "node:crypto";
import { InputError } from "../errors.ts";
import { defaultModel } from "../files/known-models.ts";
import type { LoraTargets } from "../models/lora.ts";
import type { Device } from "../runtime/device.ts";
import type { RecipeOptions } from "../text/recipe.ts";
import { defaultColumns, type ExampleColumns } from "./examples.ts";

/** Precisions of frozen weights; activations are float32 in all of them. */
export const trainPrecisions = ["float32", "stored", "int8", "int4", "nf4"] as const;
export type TrainPrecision = (typeof trainPrecisions)[number];

/** Everything that makes a run; the defaults are the paper's (PromptEOL, arXiv 2307.16645, section 4). */
export interface TrainOptions {
  readonly model: string;
  /** Files of examples. */
  readonly data: readonly string[];
  readonly columns: ExampleColumns;
  readonly excludedSources: readonly string[];
  readonly skipsBadRows: boolean;
  /** Folder of evaluation sets, to warn of examples that are in them; the pulled ones by default. */
  readonly testData: string | null;
  /** Folder for the adapter, the checkpoint and the log. */
  readonly output: string;
  /** An HTML page that shows the run as it goes; none by default. */
  readonly dashboard: string | null;
  /** Go on from the checkpoint in the output folder, if there is one. */
  readonly resume: boolean;
  readonly recipe: RecipeOptions;
  /** A recipe by name, as `metaEol`; `recipe` wins over its fields. */
  readonly recipeName: string | null;
  /** How the frozen weights are held. nf4 is QLoRA (arXiv 2305.14314). */
  readonly precision: TrainPrecision;
  readonly rank: number;
  readonly alpha: number;
  readonly dropout: number;
  readonly targets: LoraTargets;
  readonly temperature: number;
  readonly batchSize: number;
  /** Most tokens of one run: "batch" runs a whole batch at once and computes nothing twice; or as many as fit in a memory. */
  readonly microBatchTokens: number | "batch" | { readonly memoryBytes: number };
  readonly maxSentenceTokens: number;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly epochs: number;
  /** End before the epochs do, with the schedule laid out for this many steps. */
  readonly maxSteps: number | null;
  readonly maxGradNorm: number;
  readonly seed: number;
  readonly evalEvery: number;
  readonly device: Device;
  readonly threads: number | null;
  readonly offline: boolean;
  readonly cacheDir: string | null;
}

export const trainDefaults = {
  model: defaultModel.name,
  columns: defaultColumns,
  excludedSources: [],
  skipsBadRows: false,
  testData: null,
  dashboard: null,
  resume: false,
  recipe: {},
  recipeName: null,
  precision: "float32",
  rank: 64,
  alpha: 16,
  dropout: 0.05,
  targets: "all-linear",
  temperature: 0.05,
  batchSize: 256,
  microBatchTokens: 1024,
  maxSentenceTokens: 32,
  learningRate: 5e-4,
  warmupSteps: 100,
  epochs: 1,
  maxSteps: null,
  maxGradNorm: 1,
  seed: 42,
  evalEvery: 50,
  device: "cpu",
  threads: null,
  offline: false,
  cacheDir: null,
} as const satisfies Partial<TrainOptions>;

/** Options that make a run take other steps; the data are in it by their contents. */
const essential = [
  "recipe",
  "precision",
  "rank",
  "alpha",
  "dropout",
  "targets",
  "temperature",
  "batchSize",
  "maxSentenceTokens",
  "learningRate",
  "warmupSteps",
  "epochs",
  "maxSteps",
  "maxGradNorm",
  "seed",
] as const satisfies readonly (keyof TrainOptions)[];

/**
 * Names the run: two with equal fingerprints take the same steps, but that dropout's masks fall on a batch's tokens as it is parted
 * (`microBatchTokens`). An option that has its default is not in the name, so that a new one does not end the runs there are.
 */
export function fingerprint(options: TrainOptions, weights: string, dataDigest: string): string {
  const named = essential.map((key) => [key, JSON.stringify(options[key])] as const);
  const unusual = named.filter(([key, value]) => value !== JSON.stringify(trainDefaults[key]));
  const text = JSON.stringify([unusual, weights, dataDigest]);
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** @throws InputError "bad-option" naming the option and what it may be */
export function checkTrainOptions(options: TrainOptions): void {
  const wholes = ["rank", "batchSize", "maxSentenceTokens", "epochs", "evalEvery"] as const;
  for (const name of wholes) {
    if (Number.isInteger(options[name]) && options[name] > 0) continue;
    throw new InputError("bad-option", `${name} is ${options[name]}; it must be a whole number over 0.`);
  }
  for (const name of ["alpha", "temperature", "learningRate", "maxGradNorm"] as const) {
    if (Number.isFinite(options[name]) && options[name] > 0) continue;
    throw new InputError("bad-option", `${name} is ${options[name]}; it must be a number over 0.`);
  }
  for (const name of ["warmupSteps", "seed"] as const) {
    if (Number.isSafeInteger(options[name]) && options[name] >= 0) continue;
    throw new InputError("bad-option", `${name} is ${options[name]}; it must be a whole number from 0.`);
  }
  for (const name of ["maxSteps", "threads", "microBatchTokens"] as const) {
    const value = options[name];
    if (value === null || value === "batch" || typeof value === "object") continue;
    if (Number.isInteger(value) && value > 0) continue;
    throw new InputError("bad-option", `${name} is ${value}; it must be a whole number over 0.`);
  }
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    throw new InputError("bad-option", `dropout is ${options.dropout}; it must be from 0 up to, but not, 1.`);
  }
}
