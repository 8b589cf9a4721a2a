import { expect, test } from "vitest";
import { averagePercent, percent, scoreSts } from "./sts.ts";

/** Vectors in the plane whose cosine with [1, 0] is the number in the text. */
const vectorOf = (text: string): Float32Array => {
  const cosine = Number(text);
  return Float32Array.of(cosine, Math.sqrt(1 - cosine * cosine));
};
const pair = (cosine: number, score: number) => ({ sentence1: "1", sentence2: String(cosine), score });

const set = {
  task: "sts12" as const,
  subsets: [
    { name: "a", pairs: [pair(0.1, 1), pair(0.2, 2), pair(0.3, 3), pair(0.4, 4)] }, // ρ = 1
    { name: "b", pairs: [pair(0.5, 2), pair(0.6, 1)] }, // ρ = −1
  ],
};

test("mean weighs subsets alike, wmean by their pairs", () => {
  const { mean, wmean } = scoreSts(set, vectorOf);
  expect(mean.spearman).toBeCloseTo(0, 12);
  expect(wmean.spearman).toBeCloseTo((4 * 1 + 2 * -1) / 6, 12);
});

test("all is one correlation over the pairs of every subset", () => {
  const { all, pairs } = scoreSts(set, vectorOf);
  // ranks of cosine 1 2 3 4 5 6 against those of the score 1.5 3.5 5 6 3.5 1.5: Σ dx dy = 0.5, Σ dx² = 17.5, Σ dy² = 16.5
  expect(all.spearman).toBeCloseTo(0.5 / Math.sqrt(17.5 * 16.5), 6);
  expect(pairs).toBe(6);
});

test("a zero vector has the cosine 0", () => {
  const zero = { task: "stsb" as const, subsets: [{ name: "test", pairs: [pair(0.5, 1), pair(0.1, 0)] }] };
  const { subsets } = scoreSts(zero, (text) => (text === "1" ? new Float32Array(2) : vectorOf(text)));
  expect(subsets[0]!.cosines).toEqual([0, 0]);
});

test("the average is the mean of rounded numbers, as the paper's", () => {
  expect([percent(0.123449), percent(0.12345)]).toEqual([12.34, 12.35]);
  // OPT-125M's row with one demonstration: 67.46 in the paper's table (docs/results.md)
  const row = [62.22, 73.1, 61.84, 71.09, 72.08, 67.8, 64.1];
  expect(averagePercent(row.map((value) => value / 100))).toBe(67.46);
});
