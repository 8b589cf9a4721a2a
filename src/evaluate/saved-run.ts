import { createHash } from "node:crypto";
import { InputError } from "../errors.ts";
import { isJsonObject, type JsonObject, type JsonProblem, readJsonObject } from "../files/json.ts";
import { checkTextFile } from "../files/text-lines.ts";
import type { Recipe } from "../text/recipe.ts";
import type { EvaluationRun, ModeName } from "./evaluate.ts";
import { averagePercent, type Correlation, type ScoredSubset, type SentencePair } from "./sts.ts";
import { type StsTask, stsTasks, type TransferTask, taskTitles, transferTasks } from "./tasks.ts";
import { type WorstPair, worstPairs } from "./worst-pairs.ts";

/** What stands in the JSON of a run: all that a table, a report or a comparison needs. Correlations are fractions. */
export interface SavedRun {
  readonly format: typeof runFormat;
  readonly version: string;
  /** ISO 8601. */
  readonly date: string;
  readonly name: string;
  readonly recipe: Recipe | null;
  readonly sts: readonly SavedSts[];
  /** Per cent, mean of the seven rounded numbers; null unless all are there. */
  readonly stsAverage: number | null;
  readonly transferMode: ModeName;
  readonly transfer: readonly SavedTransfer[];
  readonly transferAverage: number | null;
  readonly distinctTexts: number;
  readonly cachedTexts: number;
  readonly truncatedTexts: number;
  readonly embedSeconds: number;
}

export const runFormat = "oneword-evaluation-1";

export interface SavedSts {
  readonly task: StsTask;
  readonly all: Correlation;
  readonly mean: Correlation;
  readonly wmean: Correlation;
  readonly subsets: readonly SavedSubset[];
  /** Hash of all sentences in order; absent in runs that were saved before there was one. */
  readonly texts?: string;
  /** The pairs whose rank by cosine is farthest from that by score. */
  readonly worst: readonly WorstPair[];
}

export interface SavedSubset extends Correlation {
  readonly name: string;
  readonly scores: readonly number[];
  /** Six digits. */
  readonly cosines: readonly number[];
}

export interface SavedTransfer {
  readonly task: TransferTask;
  readonly examples: number;
  /** Per cent. */
  readonly accuracy: number;
  readonly f1?: number;
  /** A digit for each tested example, 1 where it was classed right. */
  readonly correct: string;
  readonly seconds: number;
}

/** @param at  when the run ended */
export function savedRun(run: EvaluationRun, version: string, at: Date): SavedRun {
  const { name, recipe, distinctTexts, cachedTexts, truncatedTexts } = run;
  const sts = run.sts.map(({ task, all, mean, wmean, subsets }) => ({
    task,
    all,
    mean,
    wmean,
    subsets: subsets.map(savedSubset),
    texts: digestOf(subsets.flatMap(({ pairs }) => pairs)),
    worst: worstPairs(subsets),
  }));
  const transfer = run.transfer.map(({ isCorrect, seconds, ...result }) => ({
    ...result,
    correct: isCorrect.map(Number).join(""),
    seconds: rounded(seconds, 2),
  }));
  return {
    format: runFormat,
    version,
    date: at.toISOString(),
    name,
    recipe,
    sts,
    stsAverage: averageOf(sts, stsTasks, ({ all }) => all.spearman),
    transferMode: run.mode,
    transfer,
    transferAverage: averageOf(transfer, transferTasks, ({ accuracy }) => accuracy / 100),
    distinctTexts,
    cachedTexts,
    truncatedTexts,
    embedSeconds: rounded(run.embedSeconds, 2),
  };
}

/** Of all sentences in order. */
export function digestOf(pairs: readonly SentencePair[]): string {
  const hash = createHash("sha256");
  for (const { sentence1, sentence2 } of pairs) hash.update(`${sentence1}\t${sentence2}\n`);
  return hash.digest("hex").slice(0, 16);
}

const savedSubset = ({ name, pairs, cosines, spearman, pearson }: ScoredSubset): SavedSubset => ({
  name,
  spearman,
  pearson,
  scores: pairs.map(({ score }: SentencePair) => score),
  cosines: cosines.map((cosine) => rounded(cosine, 6)),
});

/** The literature's average, where every task of it is there. */
function averageOf<R extends { readonly task: string }>(
  results: readonly R[],
  tasks: readonly string[],
  fraction: (result: R) => number,
): number | null {
  const found = tasks.map((task) => results.find((result) => result.task === task));
  return found.every((result) => result !== undefined) ? averagePercent(found.map(fraction)) : null;
}

const rounded = (value: number, decimals: number): number => Number(value.toFixed(decimals));

/** @throws InputError "file-not-found", "bad-json" for a file that is not the JSON of a run */
export async function readRun(file: string): Promise<SavedRun> {
  await checkTextFile(file);
  const advice = 'Write one with "oneword eval --save run.json".';
  const problem: JsonProblem = (what, cause) => new InputError("bad-json", `${file}: ${what}. ${advice}`, { cause });
  const run: Partial<SavedRun> = await readJsonObject(file, problem);
  if (run.format !== runFormat) throw problem(`not a run of this version (format ${run.format})`);
  const isWhole = isListOf(run.sts, isSavedSts) && isListOf(run.transfer, isSavedTransfer);
  if (isWhole && typeof run.name === "string") return run as SavedRun;
  throw problem("a run of which parts are missing");
}

const isListOf = (list: unknown, isOne: (item: JsonObject) => boolean): boolean =>
  Array.isArray(list) && list.every((item) => isJsonObject(item) && isOne(item));

/** JSON has null for what is no number. */
const isNumbers = (list: unknown): list is readonly (number | null)[] =>
  Array.isArray(list) && list.every((value) => typeof value === "number" || value === null);

const isKnownTask = ({ task }: JsonObject): boolean => Object.hasOwn(taskTitles, String(task));

const isSavedSts = ({ subsets, worst, ...set }: JsonObject): boolean =>
  isKnownTask(set) &&
  [set.all, set.mean, set.wmean].every(isJsonObject) &&
  Array.isArray(worst) &&
  isListOf(subsets, isSavedSubset);

const isSavedSubset = ({ scores, cosines }: JsonObject): boolean =>
  isNumbers(scores) && isNumbers(cosines) && scores.length === cosines.length;

const isSavedTransfer = ({ accuracy, correct, ...result }: JsonObject): boolean =>
  isKnownTask(result) && typeof accuracy === "number" && typeof correct === "string";
