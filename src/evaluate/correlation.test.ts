import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { ascending, pearson, ranks, spearman, weightedRanks } from "./correlation.ts";

interface Case {
  readonly name: string;
  readonly x: number[];
  readonly y: number[];
  readonly pearson: number;
  readonly spearman: number;
}

const file = resolve(import.meta.dirname, "../../test/fixtures/correlation/scipy.json");
const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: Case[] };

describe.each(cases)("$name", ({ x, y, ...scipy }) => {
  test("Pearson and Spearman equal scipy's to 1e-12", () => {
    expect(Math.abs(pearson(x, y) - scipy.pearson)).toBeLessThan(1e-12);
    expect(Math.abs(spearman(x, y) - scipy.spearman)).toBeLessThan(1e-12);
  });

  test("Spearman does not change under a growing function", () => {
    expect(spearman(x.map(Math.cbrt), y)).toBeCloseTo(scipy.spearman, 12);
  });
});

test("ties share the mean of their ranks", () => {
  expect([...ranks([10, 20, 20, 5, 20])]).toEqual([2, 4, 4, 1, 4]);
});

test("a constant side has no correlation", () => {
  expect(pearson([1, 1, 1], [1, 2, 3])).toBeNaN();
  expect(spearman([1, 2, 3], [4, 4, 4])).toBeNaN();
});

test("weights rank and correlate as repeated values do, a weight of 0 as a value left out", () => {
  const [x, y, weights] = [
    [3, 1, 2, 2, 9],
    [1, 5, 2, 4, 0],
    [2, 1, 3, 1, 0],
  ];
  const repeat = (values: number[]): number[] => values.flatMap((value, i) => Array(weights[i]).fill(value));
  const ranked = (values: number[]) => weightedRanks(values, ascending(values), weights);
  expect(pearson(ranked(x), ranked(y), weights)).toBeCloseTo(spearman(repeat(x), repeat(y)), 14);
  expect(pearson(x, y, weights)).toBeCloseTo(pearson(repeat(x), repeat(y)), 14);
});

test("a value that is no number has a rank of its own, and the others keep theirs", () => {
  const values = [2, Number.NaN, 1];
  expect([...weightedRanks(values, [2, 0, 1])]).toEqual([2, 3, 1]);
});
