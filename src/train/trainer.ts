import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { adapterRecipeName, writeAdapterRecipe } from "../embed/adapter-recipe.ts";
import type { LoadOptions } from "../embed/load.ts";
import { InputError, ModelError } from "../errors.ts";
import { pulledFolder } from "../evaluate/data-folder.ts";
import { readStsSet } from "../evaluate/read-sts.ts";
import type { StsSet } from "../evaluate/sts.ts";
import { type StsTask, stsTasks, taskTitles } from "../evaluate/tasks.ts";
import { makeOutputFolder } from "../files/output-file.ts";
import { lockForProcess } from "../files/process-lock.ts";
import { removeUnfinished } from "../files/replace-file.ts";
import { adapterConfigName, adapterWeightsName, writeAdapter } from "../models/adapter-file.ts";
import { stopIfAborted } from "../text/batch.ts";
import { type BatchGradients, CachedGradients, DirectGradients, type TrainingBatch } from "./batch-gradients.ts";
import { type RunState, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { Dashboard } from "./dashboard.ts";
import { beats, DevScore, devBatchTokens } from "./dev-score.ts";
import { type Example, readExamples } from "./examples.ts";
import { MemoryPlan } from "./memory-plan.ts";
import { AdamW, clipByGlobalNorm } from "./optimizer.ts";
import { checkTrainOptions, fingerprint, type TrainOptions } from "./options.ts";
import { countOverlap } from "./overlap.ts";
import { exchangeTensors, type FlatTensors, initialParameters } from "./parameters.ts";
import type { PromptEncoder } from "./prompts.ts";
import { checkSchedule, linearSchedule } from "./schedule.ts";
import { planEpoch } from "./step-plan.ts";
import { logName, TrainingLog } from "./training-log.ts";
import { openTrainingModel, type TrainingModel } from "./training-model.ts";

export const checkpointName = "checkpoint.safetensors";
/** What a crash costs at most, whichever is less, besides the step that it falls into. */
const checkpointEvery = { steps: 10, milliseconds: 120_000 };

/** One step, for whoever watches. */
export interface StepReport {
  /** From 1. */
  readonly step: number;
  readonly totalSteps: number;
  readonly loss: number;
  /** Before clipping. */
  readonly gradNorm: number;
  readonly learningRate: number;
  readonly seconds: number;
  readonly sentences: number;
  readonly tokens: number;
}

export interface EvaluationReport {
  readonly step: number;
  /** Spearman on STS-B dev, in [-1, 1]. */
  readonly devSpearman: number;
  readonly isBest: boolean;
}

export interface TrainObserver {
  readonly signal?: AbortSignal;
  /** Told how far the model's files and weights are. */
  readonly onProgress?: LoadOptions["onProgress"];
  readonly onWarning?: (message: string) => void;
  /** Told how a batch will be run, once that is settled. */
  readonly onStart?: (start: { readonly microBatchTokens: number | "batch" }) => void;
  readonly onStep?: (report: StepReport) => void;
  readonly onEvaluation?: (report: EvaluationReport) => void;
}

export interface TrainResult {
  readonly steps: number;
  readonly best: { readonly score: number; readonly step: number };
}

/**
 * Trains an adapter and keeps the one that is best on STS-B dev. The output folder holds the adapter in PEFT's form,
 * `checkpoint.safetensors` to go on from, and `log.jsonl`.
 * @throws CapacityError "locked" while another process trains into the folder; InputError for options and data, and for a folder
 * that holds what would be overwritten; "diverged" for a loss that is no number; CapacityError "disk-full"
 */
export async function train(options: TrainOptions, observer: TrainObserver = {}): Promise<TrainResult> {
  checkTrainOptions(options);
  await makeOutputFolder(options.output);
  const unlock = await lockForProcess(join(options.output, "run.pid"), options.output);
  try {
    checkNothingIsLost(options);
    const names = [checkpointName, adapterWeightsName, adapterConfigName, adapterRecipeName, logName];
    await removeUnfinished(options.output, names);
    return await trainInto(options, observer);
  } finally {
    await unlock();
  }
}

/** @throws InputError "bad-option" where a run or an adapter is in the folder and would be overwritten */
function checkNothingIsLost({ output, resume }: TrainOptions): void {
  const names = [checkpointName, adapterWeightsName, logName];
  const [checkpoint, adapter, log] = names.map((name) => existsSync(join(output, name)));
  if (!(checkpoint || adapter) || (resume && (checkpoint || log))) return;
  const [what, goOn] = checkpoint ? ["a run", "Go on with it (--resume), or choose"] : ["an adapter", "Choose"];
  throw new InputError(
    "bad-option",
    `--output ${output}: holds ${what} already, which would be overwritten. ${goOn} another folder, or delete this one.`,
  );
}

async function trainInto(options: TrainOptions, observer: TrainObserver): Promise<TrainResult> {
  const model = await openTrainingModel(options, observer);
  const examples = await readData(options, observer);
  const steps = planSteps(examples, options);
  const microBatchTokens = microBatchOf(model, options, examples);
  observer.onStart?.({ microBatchTokens });
  const engine = await createEngine(model, options.temperature, microBatchTokens);
  const isBounded = typeof options.microBatchTokens === "object" && microBatchTokens !== "batch";
  const devTokens = isBounded ? Math.min(devBatchTokens, microBatchTokens) : devBatchTokens;
  let dev: DevScore | undefined;
  try {
    dev = await DevScore.create(model.adapted, model.devPrompts, model.session, devTokens);
    const run = fingerprint({ ...options, recipe: model.asked }, model.identity, digest(examples));
    return await new Run(options, observer, model, engine, dev, run).over(steps, examples);
  } finally {
    await Promise.all([engine.close(), dev?.close()]);
  }
}

/** All files' examples; says what was left out and what a test set has too. */
async function readData(options: TrainOptions, { onWarning }: TrainObserver): Promise<Example[]> {
  const read = await Promise.all(options.data.map((file) => readExamples(file, options)));
  for (const [i, { sourcesLeftOut }] of read.entries()) {
    if (options.excludedSources.length === 0 || sourcesLeftOut !== null) continue;
    const column = options.columns.source ?? "source";
    onWarning?.(`${options.data[i]} has no column "${column}": none of its rows is left out.`);
  }
  for (const source of options.excludedSources) {
    if (read.some(({ sourcesLeftOut }) => sourcesLeftOut?.has(source))) continue;
    throw new InputError(
      "bad-option",
      `excludedSources: no row is of "${source}". Put the name right, or leave it away.`,
    );
  }
  const skipped = read.reduce((sum, file) => sum + file.skipped, 0);
  if (skipped > 0) onWarning?.(`${skipped} wrong rows were left out.`);
  const examples = read.flatMap((file) => file.examples);
  for (const [task, count] of countOverlap(examples, await setsToKeepApart(options))) {
    onWarning?.(
      `${count} examples hold a sentence of ${taskTitles[task as StsTask]}: a score on it is not one on unseen text.`,
    );
  }
  return examples;
}

/** The STS sets that are on this machine, none of whose sentences should be trained on. */
async function setsToKeepApart({ testData, cacheDir }: TrainOptions): Promise<StsSet[]> {
  const folder = testData ?? pulledFolder(cacheDir ?? undefined);
  const sets: StsSet[] = [];
  let isMissing: InputError | undefined;
  for (const task of [...stsTasks, "stsb-dev"] as const) {
    try {
      sets.push(await readStsSet(task, folder));
    } catch (error) {
      if (!(error instanceof InputError && error.code === "data-not-found")) throw error;
      isMissing ??= error;
    }
  }
  if (testData !== null && isMissing && sets.length <= 1) throw isMissing; // the development split comes with the package
  return sets;
}

/** Indexes of the examples of every step of the whole run. */
function planSteps(examples: readonly Example[], options: TrainOptions): number[][] {
  if (options.batchSize === 1 && examples.some(({ hardNegative }) => hardNegative === null)) {
    throw new InputError(
      "batch-too-small",
      "batchSize is 1, but a pair without a hard negative has nothing to be told from. Take 2 at least.",
    );
  }
  const most = options.maxSteps ?? Number.POSITIVE_INFINITY;
  const steps: number[][] = [];
  for (let epoch = 0; epoch < options.epochs && steps.length < most; epoch++) {
    for (const step of planEpoch(examples, options.batchSize, options.seed + epoch)) steps.push(step);
  }
  steps.length = Math.min(steps.length, most);
  checkSchedule({ ...options, totalSteps: steps.length });
  return steps;
}

function createEngine(
  model: TrainingModel,
  temperature: number,
  microBatchTokens: number | "batch",
): Promise<BatchGradients> {
  if (microBatchTokens === "batch") return DirectGradients.create(model.adapted, temperature, model.session);
  return CachedGradients.create(model.adapted, temperature, model.session, microBatchTokens);
}

function microBatchOf(
  { adapted, prompts }: TrainingModel,
  { microBatchTokens, batchSize }: TrainOptions,
  examples: readonly Example[],
): number | "batch" {
  if (typeof microBatchTokens !== "object") return microBatchTokens;
  const texts = examples.flatMap(({ anchor, positive, hardNegative }) => [anchor, positive, hardNegative ?? ""]);
  const plan = new MemoryPlan(adapted, {
    batchSize,
    maxTokens: prompts.maxTokens - prompts.prefix.length,
    prefixTokens: prompts.prefix.length,
    characters: texts.reduce((sum, text) => sum + text.length, 0),
  });
  return plan.microBatchTokens(microBatchTokens.memoryBytes);
}

function digest(examples: readonly Example[]): string {
  const hash = createHash("sha256");
  for (const { anchor, positive, hardNegative } of examples) hash.update(`${anchor}\t${positive}\t${hardNegative}\n`);
  return hash.digest("hex");
}

/** The state of one run, and its loop. */
class Run {
  readonly #options: TrainOptions;
  readonly #observer: TrainObserver;
  readonly #model: TrainingModel;
  readonly #engine: BatchGradients;
  readonly #dev: DevScore;
  readonly #fingerprint: string;
  readonly #parameters: FlatTensors;
  readonly #optimizer: AdamW;
  #best: RunState["best"] = null;
  /** When the last checkpoint was. */
  #written = { step: 0, time: performance.now() };

  constructor(
    options: TrainOptions,
    observer: TrainObserver,
    model: TrainingModel,
    engine: BatchGradients,
    dev: DevScore,
    run: string,
  ) {
    this.#options = options;
    this.#observer = observer;
    this.#model = model;
    this.#engine = engine;
    this.#dev = dev;
    this.#fingerprint = run;
    this.#parameters = initialParameters(engine.tensors, options.seed);
    this.#optimizer = new AdamW(this.#parameters.values.length);
  }

  async over(steps: readonly (readonly number[])[], examples: readonly Example[]): Promise<TrainResult> {
    const done = await this.#resume();
    const log = await TrainingLog.open(this.#options.output, done);
    const dashboard = await this.#openDashboard(log);
    try {
      const result = await this.#go(done, steps, examples, log, dashboard);
      await dashboard?.show(log.entries, "done");
      return result;
    } catch (error) {
      await dashboard?.show(log.entries, (error as Error).message);
      throw error;
    }
  }

  async #openDashboard({ entries }: TrainingLog): Promise<Dashboard | null> {
    const { dashboard: file, ...options } = this.#options;
    if (file === null) return null;
    const onWarning = (message: string): void => this.#observer.onWarning?.(message);
    return Dashboard.open({ file, options, onWarning }, entries);
  }

  async #go(
    done: number,
    steps: readonly (readonly number[])[],
    examples: readonly Example[],
    log: TrainingLog,
    dashboard: Dashboard | null,
  ): Promise<TrainResult> {
    const { evalEvery } = this.#options;
    const { signal } = this.#observer;
    const isScored = (step: number): boolean => step > 0 && (step % evalEvery === 0 || step === steps.length);
    try {
      if (isScored(done) && !log.hasScore(done)) await this.#evaluate(done, log); // in which it was stopped
      for (let step = done; step < steps.length; step++) {
        stopIfAborted(signal);
        const batch = batchOf(
          steps[step]!.map((i) => examples[i]!),
          this.#model.prompts,
        );
        const report = await this.#step(step, steps.length, batch);
        await log.append(report);
        this.#observer.onStep?.(report);
        if (isScored(step + 1)) await this.#evaluate(step + 1, log);
        else if (this.#isCheckpointDue()) await this.#writeCheckpoint();
        await dashboard?.show(log.entries);
      }
    } catch (error) {
      if (!(error instanceof InputError && error.code === "aborted")) throw error;
      await this.#writeCheckpoint();
      throw new InputError("aborted", `stopped after ${this.#optimizer.step} steps; --resume goes on from there.`);
    }
    return { steps: steps.length, best: this.#best! };
  }

  /** @returns steps done before */
  async #resume(): Promise<number> {
    if (!this.#options.resume) return 0;
    const file = join(this.#options.output, checkpointName);
    const state = await readCheckpoint(file, this.#fingerprint, this.#parameters, this.#optimizer);
    this.#best = state?.best ?? null;
    const step = state?.step ?? 0;
    this.#written = { step, time: performance.now() };
    return step;
  }

  async #step(step: number, totalSteps: number, batch: TrainingBatch): Promise<StepReport> {
    const startedAt = performance.now();
    const seed = Math.imul(Math.imul(this.#options.seed, 1_000_003) + step, 4096); // apart from those of other steps' parts
    const { loss, gradients } = await this.#engine.compute(batch, this.#parameters, seed, this.#observer.signal);
    const gradNorm = clipByGlobalNorm(gradients, this.#options.maxGradNorm);
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm)) {
      throw this.#diverged(step + 1, `the loss is ${loss}, the gradient's norm ${gradNorm}`);
    }
    const learningRate = linearSchedule(step, { ...this.#options, totalSteps });
    this.#optimizer.update(this.#parameters.values, gradients, learningRate);
    const seconds = (performance.now() - startedAt) / 1000;
    const sequences = [...batch.anchors, ...batch.positives, ...batch.hardNegatives];
    const tokens = sequences.reduce((sum, ids) => sum + ids.length, 0);
    return { step: step + 1, totalSteps, loss, gradNorm, learningRate, seconds, sentences: sequences.length, tokens };
  }

  /** Scores, and keeps the adapter if it is the best so far. */
  async #evaluate(step: number, log: TrainingLog): Promise<void> {
    const devSpearman = await this.#dev.score(this.#parameters, this.#observer.signal).catch((error: unknown) => {
      const isOurs = error instanceof ModelError && error.code === "nan-output"; // the weights were all right before
      throw isOurs ? this.#diverged(step, "the adapted model gives no numbers") : error;
    });
    const isBest = this.#best === null || this.#best.step === step || beats(devSpearman, this.#best.score);
    const { output } = this.#options;
    if (isBest) {
      await writeAdapterRecipe(output, this.#model.recipe); // not before: an adapter of other options may be there
      await writeAdapter(
        output,
        this.#model.adapterConfig,
        exchangeTensors(this.#parameters, this.#model.adapted.config),
        "F32",
      );
      this.#best = { score: devSpearman, step };
    }
    await this.#writeCheckpoint(); // before the log, whose scores are not made again; after the score, which may be of no use
    const report = { step, devSpearman, isBest };
    await log.append(report);
    this.#observer.onEvaluation?.(report);
  }

  #diverged(step: number, what: string): InputError {
    const kept =
      this.#best === null ? "No adapter had been scored yet" : `The adapter of step ${this.#best.step} is kept`;
    const advice = "Start again with a lower learning rate or a longer warm-up.";
    return new InputError("diverged", `${this.#options.output}: step ${step}: ${what}. ${kept}. ${advice}`);
  }

  #isCheckpointDue(): boolean {
    const { step, time } = this.#written;
    const { steps, milliseconds } = checkpointEvery;
    return this.#optimizer.step - step >= steps || performance.now() - time >= milliseconds;
  }

  async #writeCheckpoint(): Promise<void> {
    const { step } = this.#optimizer;
    const state = { step, best: this.#best, fingerprint: this.#fingerprint };
    await writeCheckpoint(join(this.#options.output, checkpointName), state, this.#parameters, this.#optimizer);
    this.#written = { step, time: performance.now() };
  }
}

function batchOf(examples: readonly Example[], prompts: PromptEncoder): TrainingBatch {
  const negatives = examples.flatMap(({ hardNegative }) => (hardNegative === null ? [] : [hardNegative]));
  const encode = (texts: readonly string[]): (readonly number[])[] => texts.map((text) => prompts.encode(text));
  return {
    prefixTokens: prompts.prefix.length,
    anchors: encode(examples.map(({ anchor }) => anchor)),
    positives: encode(examples.map(({ positive }) => positive)),
    hardNegatives: encode(negatives),
  };
}
