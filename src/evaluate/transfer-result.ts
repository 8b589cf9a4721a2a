import type { ClassifierData } from "./classifier-trainer.ts";
import { averagePercent, type VectorOf } from "./sts.ts";
import type { TransferTask } from "./tasks.ts";
import { splitTokens } from "./tokens.ts";
import { type Predictions, type TransferMode, testClassifier } from "./transfer.ts";
import type { Example, TransferSet } from "./transfer-sets.ts";

export interface TransferResult {
  readonly task: TransferTask;
  /** Examples that were tested: the test split, or all of them, each in its fold. */
  readonly examples: number;
  /** Per cent with two decimals, over folds the mean of rounded numbers, as SentEval reports it. */
  readonly accuracy: number;
  /** Per cent with two decimals, of class 1; for pairs of sentences only. */
  readonly f1?: number;
  /** Whether each tested example was classed right, in the order of the set, for comparisons of runs. */
  readonly isCorrect: readonly boolean[];
  readonly seconds: number;
}

/** Trains and tests a logistic regression on a set's frozen vectors. */
export async function evaluateTransfer(
  set: TransferSet,
  vectorOf: VectorOf,
  mode: TransferMode,
): Promise<TransferResult> {
  const startedAt = performance.now();
  const splits = [set.train, set.dev ?? [], set.test ?? []].map(sortedLikeSentEval);
  const examples = splits.flat();
  const data = classifierData(examples, set.classes.length, inUnits(set.train, vectorOf));
  const [trainEnd, devEnd] = [splits[0]!.length, splits[0]!.length + splits[1]!.length];
  const all = Int32Array.from(examples, (_, row) => row);
  const predictions = await testClassifier(
    data,
    {
      train: all.subarray(0, trainEnd),
      dev: set.dev && all.subarray(trainEnd, devEnd),
      test: set.test && all.subarray(devEnd),
    },
    mode,
  );
  const isPair = examples[0]!.sentences.length === 2;
  return {
    task: set.task,
    examples: predictions.rows.length,
    accuracy: averagePercent(predictions.accuracies),
    ...(isPair ? { f1: Math.round(1e4 * f1(predictions, data.labels)) / 100 } : {}),
    isCorrect: correctness(predictions, data.labels),
    seconds: (performance.now() - startedAt) / 1000,
  };
}

/** By tokens of the sentences, then by class: the order on which SentEval's folds depend. */
export function sortedLikeSentEval(examples: readonly Example[]): Example[] {
  const keys = new Map(
    examples.map((example) => [example, [...example.sentences.map((text) => splitTokens(text).length), example.label]]),
  );
  return examples.toSorted((a, b) => {
    const [x, y] = [keys.get(a)!, keys.get(b)!];
    const differs = x.findIndex((value, i) => value !== y[i]);
    return differs < 0 ? 0 : x[differs]! - y[differs]!;
  });
}

/**
 * Vectors in units of the root mean square of the training examples' components. Adam's steps have one size for any vectors, and
 * SentEval's, near 1, fit it; hidden states of decoders may be a hundred times as large, their products ten thousand times.
 */
function inUnits(training: readonly Example[], vectorOf: VectorOf): VectorOf {
  let [squares, components] = [0, 0];
  for (const text of new Set(training.flatMap(({ sentences }) => sentences))) {
    const vector = vectorOf(text);
    for (const value of vector) squares += value * value;
    components += vector.length;
  }
  const unit = Math.sqrt(squares / components) || 1; // vectors of zeros stay
  return (text) => vectorOf(text).map((value) => value / unit);
}

/** A sentence's vector u; for a pair |u − v| and u ⊙ v; and the constant 1 behind it. */
export function classifierData(examples: readonly Example[], classes: number, vectorOf: VectorOf): ClassifierData {
  const rows = examples.map(({ sentences }) => {
    const [u, v] = sentences.map(vectorOf);
    return v ? [...u!.map((value, i) => Math.abs(value - v[i]!)), ...u!.map((value, i) => value * v[i]!)] : u!;
  });
  const width = rows[0]!.length + 1;
  const features = new Float32Array(rows.length * width).fill(1);
  for (const [i, row] of rows.entries()) features.set(row, i * width);
  return { features, width, labels: Int32Array.from(examples, ({ label }) => label), classes };
}

/** 2 · precision · recall / (precision + recall) of class 1. */
function f1({ rows, predicted }: Predictions, labels: Int32Array): number {
  let [truePositives, positives] = [0, 0];
  for (const [i, row] of rows.entries()) {
    if (predicted[i] === 1 && labels[row] === 1) truePositives += 2;
    positives += Number(predicted[i] === 1) + Number(labels[row] === 1);
  }
  return positives === 0 ? 0 : truePositives / positives;
}

function correctness({ rows, predicted }: Predictions, labels: Int32Array): boolean[] {
  const order = Array.from(rows.keys()).sort((a, b) => rows[a]! - rows[b]!);
  return order.map((i) => predicted[i] === labels[rows[i]!]);
}
