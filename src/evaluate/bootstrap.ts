import { isDeepStrictEqual } from "node:util";
import { InputError } from "../errors.ts";
import { ascending, pearson, weightedRanks } from "./correlation.ts";
import type { EvaluationSets, ModeName } from "./evaluate.ts";
import { RandomState } from "./random-state.ts";
import { digestOf, type SavedRun, type SavedSts, type SavedTransfer } from "./saved-run.ts";
import { percent } from "./sts.ts";
import { type Task, taskTitles } from "./tasks.ts";

/** How much better the second run is than the first, in points (per cent). */
export interface Difference {
  /** A task, or the average over all tasks that both runs have a number for. */
  readonly task: Task | "average";
  readonly difference: number;
  /** 95 % of the resamples lie between. */
  readonly low: number;
  readonly high: number;
}

const resamples = 1000;
const seed = 1111;

/**
 * Paired bootstrap: pairs of sentences (or tested examples) are drawn with replacement, the same for both runs, and the
 * difference is taken each time. Where 0 is outside the interval, the difference is not one of chance.
 * @returns one line for each task that both runs have a number for, in the first one's order, and the average of two and more
 * @throws InputError "bad-option" for runs over different pairs, or without a common task
 * @see Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13 (percentile interval)
 */
export function compareRuns(first: SavedRun, second: SavedRun): Difference[] {
  const statistics = commonStatistics(first, second);
  const samples = statistics.map(() => new Float64Array(resamples));
  const means = new Float64Array(resamples);
  const random = new RandomState(seed);
  for (let sample = 0; sample < resamples; sample++) {
    for (const [i, { count, difference }] of statistics.entries()) {
      samples[i]![sample] = difference(drawCounts(count, random));
      means[sample]! += samples[i]![sample]! / statistics.length;
    }
  }
  const lines = statistics.map(({ task, measured }, i) => ({ task, difference: measured, ...interval(samples[i]!) }));
  const mean = statistics.reduce((sum, { measured }) => sum + measured, 0) / statistics.length;
  return lines.length > 1 ? [...lines, { task: "average", difference: mean, ...interval(means) }] : lines;
}

/**
 * What of two runs can be compared.
 * @throws InputError "bad-option" as compareRuns
 */
export function commonStatistics(first: SavedRun, second: SavedRun): Statistic[] {
  const statistics = [...commonSts(first, second), ...commonTransfer(first, second)];
  if (statistics.length > 0) return statistics;
  throw new InputError(
    "bad-option",
    `${first.name} and ${second.name} have no task in common that both have a number for. Run both on the same.`,
  );
}

/**
 * Whether a run over these sets can be compared with one there is, before it is made.
 * @throws InputError "bad-option" as compareRuns, for what the sets and the mode alone tell
 */
export function checkComparable(first: SavedRun, { sts, transfer }: EvaluationSets, mode: ModeName): void {
  const sharesTransfer = shareTask(first.transfer, transfer);
  if (!shareTask(first.sts, sts) && !sharesTransfer) {
    throw new InputError("bad-option", `${first.name} has none of the tasks that are to be run. Run both on the same.`);
  }
  if (sharesTransfer) checkModes(first.transferMode, mode);
  for (const { task, subsets } of sts) {
    const saved = first.sts.find((set) => set.task === task);
    const pairs = subsets.flatMap((subset) => subset.pairs);
    if (saved)
      checkSamePairs(saved, { task, texts: digestOf(pairs), subsets: [{ scores: pairs.map(({ score }) => score) }] });
  }
}

interface OfTask {
  readonly task: Task;
}

const shareTask = (some: readonly OfTask[], others: readonly OfTask[]): boolean =>
  some.some(({ task }) => others.some((other) => other.task === task));

/** What says which pairs a set has. */
interface PairSet extends OfTask {
  readonly texts?: string;
  readonly subsets: readonly { readonly scores: readonly number[] }[];
}

function checkSamePairs(a: PairSet, b: PairSet): void {
  const isOther = a.texts !== undefined && b.texts !== undefined && a.texts !== b.texts;
  const [scores, others] = [a, b].map(({ subsets }) => subsets.flatMap((subset) => subset.scores));
  if (!isOther && isDeepStrictEqual(scores, others)) return;
  const advice = "Run both with the same --data.";
  throw new InputError("bad-option", `${taskTitles[a.task]}: the runs were measured on different pairs. ${advice}`);
}

function checkModes(one: ModeName, other: ModeName): void {
  if (one === other) return;
  const modes = `${one} and ${other}`;
  throw new InputError(
    "bad-option",
    `the transfer tasks were measured in the modes ${modes}. Run both with the same --mode.`,
  );
}

export interface Statistic {
  readonly task: Task;
  /** Things to draw from. */
  readonly count: number;
  /** The difference as reported, in points. */
  readonly measured: number;
  /** The same where thing i occurs `counts[i]` times. */
  difference(counts: Uint16Array): number;
}

function commonSts(first: SavedRun, second: SavedRun): Statistic[] {
  return first.sts.flatMap((a) => {
    const b = second.sts.find(({ task }) => task === a.task);
    const hasNumbers = [a, b].every((set) => Number.isFinite(set?.all.spearman)); // vectors that are all alike have none
    return b && hasNumbers ? [stsStatistic(a, b)] : [];
  });
}

function stsStatistic(a: SavedSts, b: SavedSts): Statistic {
  checkSamePairs(a, b);
  const scores = a.subsets.flatMap((subset) => subset.scores);
  const ranked = [scores, ...[a, b].map(({ subsets }) => subsets.flatMap(({ cosines }) => cosines))].map((values) => {
    const order = ascending(values);
    return (counts: Uint16Array) => weightedRanks(values, order, counts);
  });
  return {
    task: a.task,
    count: scores.length,
    measured: percent(b.all.spearman) - percent(a.all.spearman),
    difference(counts) {
      const [byScore, byFirst, bySecond] = ranked.map((ranks) => ranks(counts)) as [
        Float64Array,
        Float64Array,
        Float64Array,
      ];
      return 100 * (pearson(bySecond, byScore, counts) - pearson(byFirst, byScore, counts));
    },
  };
}

function commonTransfer(first: SavedRun, second: SavedRun): Statistic[] {
  if (shareTask(first.transfer, second.transfer)) checkModes(first.transferMode, second.transferMode);
  return first.transfer.flatMap((a) => {
    const b = second.transfer.find(({ task }) => task === a.task);
    return b ? [transferStatistic(a, b)] : [];
  });
}

function transferStatistic(a: SavedTransfer, b: SavedTransfer): Statistic {
  if (a.correct.length !== b.correct.length) {
    const counts = `${a.correct.length} and ${b.correct.length} examples`;
    throw new InputError(
      "bad-option",
      `${taskTitles[a.task]}: the runs were measured on ${counts}. Run both with the same --data.`,
    );
  }
  const gains = Int8Array.from(a.correct, (digit, i) => Number(b.correct[i]) - Number(digit));
  return {
    task: a.task,
    count: gains.length,
    measured: b.accuracy - a.accuracy,
    difference: (counts) => (100 * gains.reduce((sum, gain, i) => sum + gain * counts[i]!, 0)) / gains.length,
  };
}

/** How often each of `count` things is drawn in `count` draws. */
function drawCounts(count: number, random: RandomState): Uint16Array {
  const counts = new Uint16Array(count);
  for (let draw = 0; draw < count; draw++) counts[random.interval(count - 1)]!++;
  return counts;
}

function interval(samples: Float64Array): { readonly low: number; readonly high: number } {
  const sorted = samples.toSorted();
  return { low: sorted[Math.floor(0.025 * resamples)]!, high: sorted[Math.ceil(0.975 * resamples) - 1]! };
}
