import { expect, test } from "vitest";
import reference from "../../test/fixtures/classifier/scikit-learn.json" with { type: "json" };
import type { ClassifierData } from "./classifier-trainer.ts";
import { RandomState } from "./random-state.ts";
import { testClassifier, transferModes } from "./transfer.ts";
import { evaluateTransfer } from "./transfer-result.ts";
import type { TransferSet } from "./transfer-sets.ts";

/** The same draws as `draw` in test/fixtures/classifier/make.py. */
function draw(examples: number, width: number, classes: number, seed: number): ClassifierData {
  const random = new RandomState(seed);
  const uniform = (count: number): number[] => Array.from({ length: count }, () => random.uniform());
  const [drawn, directions, noise] = [examples * width, width * classes, examples * classes].map(uniform) as [
    number[],
    number[],
    number[],
  ];
  const features = new Float32Array(examples * (width + 1));
  const labels = new Int32Array(examples);
  for (let row = 0; row < examples; row++) {
    const x = drawn.slice(row * width, (row + 1) * width).map((value) => value * 2 - 1);
    const scores = Array.from({ length: classes }, (_, k) => {
      const signal = x.reduce((sum, value, d) => sum + value * (directions[d * classes + k]! * 2 - 1), 0);
      return signal + (noise[row * classes + k]! * 2 - 1) * 2;
    });
    labels[row] = scores.indexOf(Math.max(...scores));
    features.set([...x.map((value, d) => value * (d === 0 ? 40 : 4)), 1], row * (width + 1));
  }
  return { features, width: width + 1, labels, classes };
}
const rowsOf = ({ labels }: ClassifierData): Int32Array => labels.map((_, row) => row);

const threeFolds = { ...transferModes.full, foldCount: 3 };

test.each(reference.innerKFold)(
  "$classes classes: as accurate as scikit-learn on the same folds (0.7 points)",
  async ({ examples, width, classes, seed, mean }) => {
    const data = draw(examples, width, classes, seed);
    const { accuracies } = await testClassifier(data, { train: rowsOf(data) }, threeFolds);
    const ours = accuracies.reduce((sum, value) => sum + value, 0) / accuracies.length;

    expect(Math.abs(ours - mean) * 100).toBeLessThan(0.7);
  },
);

test("the same seed gives the same predictions twice", async () => {
  const data = draw(300, 8, 3, 1);
  const rows = rowsOf(data);
  const split = { train: rows.subarray(0, 200), dev: rows.subarray(200, 250), test: rows.subarray(250) };
  for (const splits of [{ train: rows }, split, { train: split.train, test: split.test }]) {
    const [first, second] = [
      await testClassifier(data, splits, transferModes.fast),
      await testClassifier(data, splits, transferModes.fast),
    ];
    expect(second).toEqual(first);
    expect([...first.rows].sort((a, b) => a - b)).toEqual([...(splits.test ?? rows)]);
  }
});

test("classes that nothing tells apart are guessed, those that one feature tells are found", async () => {
  const labels = Int32Array.from({ length: 400 }, (_, i) => i % 2);
  const width = 65; // 64 times the same feature, and the constant 1
  const features = Float32Array.from({ length: 400 * width }, (_, i) =>
    i % width === width - 1 ? 1 : labels[Math.floor(i / width)]! * 2 - 1,
  );
  const data = { features, width, labels, classes: 2 };
  expect((await testClassifier(data, { train: rowsOf(data) }, transferModes.fast)).accuracies).toEqual([1, 1, 1, 1, 1]);
  const none = { ...data, features: new Float32Array(400 * width).fill(1) };
  const { accuracies } = await testClassifier(none, { train: rowsOf(none) }, transferModes.fast);
  expect(accuracies).toEqual([0.5, 0.5, 0.5, 0.5, 0.5]);
});

test("the scale of the vectors does not matter", async () => {
  const examples = Array.from({ length: 200 }, (_, i) => ({ sentences: [`a${i}`, `b${i}`], label: i % 2 }));
  const set: TransferSet = {
    task: "mrpc",
    classes: ["0", "1"],
    train: examples.slice(0, 150),
    test: examples.slice(150),
  };
  const vectorAt = (scale: number) => (text: string) => {
    const i = Number(text.slice(1));
    const shift = text.startsWith("b") && i % 2 === 0 ? 3 : 0;
    return Float32Array.from({ length: 8 }, (_, d) => scale * (Math.sin(i * 3.1 + d) + shift));
  };
  const [small, large] = await Promise.all(
    [1, 1024].map((scale) => evaluateTransfer(set, vectorAt(scale), transferModes.fast)),
  );
  expect(large!.isCorrect).toEqual(small!.isCorrect);
  expect(large!.accuracy).toBeGreaterThan(80);
});
