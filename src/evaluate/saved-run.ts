import { createHash } from "node:crypto";
import { InputError } from "../errors.ts";
import { isJsonObject, type JsonProblem, readJsonObject } from "../files/json.ts";
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
  const lists = [run.sts, run.transfer];
  const isKnownTask = (result: unknown) => isJsonObject(result) && Object.hasOwn(taskTitles, String(result.task));
  const isKnown = lists.every((list) => Array.isArray(list) && list.every(isKnownTask));
  if (run.format === runFormat && isKnown) return run as SavedRun;
  throw problem(`not a run of this version (format ${run.format})`);
}
