import type { Fitted } from "./best-snapshots.ts";
import { accuracy, predict, type TrainingSettings, trainRegressions } from "./classifier.ts";
import type { ClassifierData, Problem } from "./classifier-trainer.ts";
import { stratifiedFolds } from "./folds.ts";
import { RandomState } from "./random-state.ts";

/** How much work a transfer task gets. */
export interface TransferMode extends TrainingSettings {
  readonly foldCount: number;
}

/**
 * SentEval's setting for results that can be compared; and one with the folds, passes and tenacity of its setting for
 * prototyping, whose RMSprop is left out: its large steps end up to two points away from a converged classifier.
 * @see SentEval, README.md
 */
export const transferModes = {
  full: { batchSize: 64, epochSize: 4, tenacity: 5, maxEpochs: 200, foldCount: 10 },
  fast: { batchSize: 64, epochSize: 2, tenacity: 3, maxEpochs: 200, foldCount: 5 },
} as const satisfies Record<string, TransferMode>;

/** SentEval's grid of L2 penalties. */
const penalties = [1e-5, 1e-4, 1e-3, 1e-2];
/** SentEval's seed. */
const seed = 1111;
/** Share of the training examples that says when to stop, where there is no development split. */
const heldOutShare = 0.05;

/** Rows of the examples in each split. */
export interface SplitRows {
  readonly train: Int32Array;
  readonly dev?: Int32Array | undefined;
  readonly test?: Int32Array | undefined;
}

/** Predicted class of every row that was tested, and the accuracy on each part: a fold, or the test split. */
export interface Predictions {
  readonly rows: Int32Array;
  readonly predicted: Int32Array;
  readonly accuracies: readonly number[];
}

/**
 * Trains and tests as SentEval does: with a test split, the penalty by the development split or by folds of the training
 * examples, then one classifier; without, every outer fold is tested once, its penalty chosen by folds inside.
 * @see SentEval, senteval/tools/validation.py
 */
export async function testClassifier(data: ClassifierData, rows: SplitRows, mode: TransferMode): Promise<Predictions> {
  const random = new RandomState(seed);
  if (!rows.test) return testOuterFolds(data, rows.train, mode, random);
  const problem = rows.dev ? { train: rows.train, dev: rows.dev } : holdOut(rows.train, random);
  const grid = rows.dev ? [{ train: rows.train, dev: rows.dev }] : foldsOf(data, rows.train, mode);
  const penalty = bestPenalty(await trainRegressions(data, grid, penalties, mode, random));
  const [[fitted]] = (await trainRegressions(data, [problem], [penalty], mode, random)) as [[Fitted]];
  return testOn(data, [fitted], [rows.test]);
}

async function testOuterFolds(
  data: ClassifierData,
  rows: Int32Array,
  mode: TransferMode,
  random: RandomState,
): Promise<Predictions> {
  const outer = foldsOf(data, rows, mode);
  const fitted: Fitted[] = [];
  for (const { train } of outer) {
    const penalty = bestPenalty(await trainRegressions(data, foldsOf(data, train, mode), penalties, mode, random));
    const [[best]] = (await trainRegressions(data, [holdOut(train, random)], [penalty], mode, random)) as [[Fitted]];
    fitted.push(best);
  }
  return testOn(
    data,
    fitted,
    outer.map(({ dev }) => dev),
  );
}

async function testOn(
  data: ClassifierData,
  fitted: readonly Fitted[],
  parts: readonly Int32Array[],
): Promise<Predictions> {
  const predicted = await predict(data, fitted, parts);
  return {
    rows: Int32Array.from(parts.flatMap((part) => Array.from(part))),
    predicted: Int32Array.from(predicted.flatMap((part) => Array.from(part))),
    accuracies: parts.map((part, i) => accuracy(predicted[i]!, part, data.labels)),
  };
}

/** Stratified folds of some rows, as rows of the data. */
function foldsOf({ labels }: ClassifierData, rows: Int32Array, { foldCount }: TransferMode): Problem[] {
  const folds = stratifiedFolds(
    rows.map((row) => labels[row]!),
    foldCount,
    seed,
  );
  return folds.map(({ train, test }) => ({ train: train.map((i) => rows[i]!), dev: test.map((i) => rows[i]!) }));
}

function holdOut(rows: Int32Array, random: RandomState): Problem {
  const order = random.permutation(rows.length).map((i) => rows[i]!);
  const count = Math.floor(heldOutShare * rows.length);
  return { train: order.subarray(count), dev: order.subarray(0, count) };
}

/** The first of the penalties with the highest mean accuracy, in per cent with two decimals as SentEval compares them. */
function bestPenalty(fitted: readonly (readonly Fitted[])[]): number {
  const means = penalties.map((_, penalty) => {
    const sum = fitted.reduce((total, ofPenalties) => total + ofPenalties[penalty]!.accuracy, 0);
    return Math.round((1e4 * sum) / fitted.length);
  });
  return penalties[means.indexOf(Math.max(...means))]!;
}
