import { join } from "node:path";
import { type TrainOptions, trainDefaults } from "../train/options.ts";
import { train } from "../train/trainer.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { modelNameOf, readRecipeFlag, readShown } from "./load-model.ts";
import { downloadProgress } from "./progress.ts";
import { writeTo } from "./stdout-sink.ts";
import { readTrainConfig } from "./train-config.ts";
import type { TrainFlags } from "./train-flags.ts";
import { TrainProgress } from "./train-progress.ts";

/** `oneword train`: an adapter from examples. Prints where it is and how good. */
export async function runTrain(given: TrainFlags, context: CliContext): Promise<void> {
  const flags = given.config === undefined ? given : over(await readTrainConfig(given.config), given);
  const options = await trainOptions(flags);
  const progress = new TrainProgress(context, flags.quiet === true);
  const downloads = downloadProgress(context, flags.quiet === true);
  const { best, steps } = await train(options, {
    signal: context.signal,
    onProgress: downloads.onProgress,
    onWarning: (message) => progress.warning(message),
    onStart({ microBatchTokens }) {
      downloads.stop();
      if (flags.memory !== undefined) progress.start(flags.memory, microBatchTokens);
    },
    onStep: (report) => progress.step(report),
    onEvaluation: (report) => progress.evaluation(report),
  }).finally(() => {
    downloads.stop();
    progress.clear();
  });
  const result = { output: options.output, steps, bestStep: best.step, devSpearman: best.score };
  await writeTo(context.stdout, `${JSON.stringify(result)}\n`);
}

/** Flags over those of a file: of two that say the same in two ways, too. */
function over({ memory, microBatchTokens, ...rest }: TrainFlags, given: TrainFlags): TrainFlags {
  const isGiven = given.memory !== undefined || given.microBatchTokens !== undefined;
  return { ...rest, ...(isGiven ? {} : { memory, microBatchTokens }), ...given };
}

function microBatch({ memory, microBatchTokens }: TrainFlags): TrainOptions["microBatchTokens"] {
  if (memory === undefined) return microBatchTokens ?? trainDefaults.microBatchTokens;
  if (microBatchTokens !== undefined) {
    throw new UsageError("--memory and --micro-batch-tokens both say how much runs at once; give one of them.");
  }
  const bytes = parseBytes(memory);
  if (bytes !== null) return { memoryBytes: bytes };
  throw new UsageError(`--memory is ${JSON.stringify(memory)}; it must be a size such as 4GB or 800MB.`);
}

/** `4GB`, `800 MB`, decimal, or `4GiB`, binary. */
function parseBytes(size: unknown): number | null {
  const [, number, unit, binary] = /^([\d.]+) ?([kMGT])(i?)B$/i.exec(String(size)) ?? [];
  const bytes = Number(number) * (binary ? 1024 : 1000) ** ("kmgt".indexOf(unit?.toLowerCase() ?? "") + 1);
  return Number.isFinite(bytes) && bytes > 0 ? bytes : null;
}

/** Flags that are options under the same name. */
const asTheyAre = [
  "resume",
  "precision",
  "rank",
  "alpha",
  "dropout",
  "temperature",
  "batchSize",
  "maxSentenceTokens",
  "learningRate",
  "warmupSteps",
  "epochs",
  "maxSteps",
  "maxGradNorm",
  "seed",
  "evalEvery",
  "device",
  "threads",
  "offline",
] as const satisfies readonly (keyof TrainFlags & keyof TrainOptions)[];

async function trainOptions(flags: TrainFlags): Promise<TrainOptions> {
  if (!flags.data?.length) throw new UsageError("--data is missing: a file of examples.");
  if (flags.output === undefined) throw new UsageError("--output is missing: a folder for the adapter.");
  const { fromFile, recipeName } = await readRecipeFlag(flags.recipe);
  const demonstrations = await readShown(flags.demonstrations);
  const { template, layer, target, anchor, positive, hardNegative, source, excludeSource } = flags;
  const set = asTheyAre.flatMap((key) => (flags[key] === undefined ? [] : [[key, flags[key]]]));
  return {
    ...trainDefaults,
    ...(Object.fromEntries(set) as Partial<TrainOptions>),
    data: flags.data,
    output: flags.output,
    model: flags.model ?? (await modelNameOf(fromFile, flags.recipe)) ?? trainDefaults.model,
    recipe: {
      ...fromFile,
      ...(template === undefined ? {} : { template }),
      ...(demonstrations === undefined ? {} : { demonstrations }),
      ...(layer === undefined ? {} : { layer }),
    },
    recipeName,
    dashboard: flags.dashboard === true ? join(flags.output, "dashboard.html") : (flags.dashboard ?? null),
    microBatchTokens: microBatch(flags),
    targets: target === undefined || target.includes("all-linear") ? "all-linear" : target,
    columns: {
      anchor: anchor ?? trainDefaults.columns.anchor,
      positive: positive ?? trainDefaults.columns.positive,
      hardNegative: hardNegative === "none" ? null : (hardNegative ?? trainDefaults.columns.hardNegative),
      source: source ?? "source",
    },
    excludedSources: excludeSource ?? [],
    skipsBadRows: flags.skipBadRows === true,
    testData: flags.testData ?? null,
  };
}
