import { expect, test } from "vitest";
import reference from "../../test/fixtures/classifier/scikit-learn.json" with { type: "json" };
import { stratifiedFolds } from "./folds.ts";
import { RandomState } from "./random-state.ts";

test("gives numpy's numbers", () => {
  const random = new RandomState(1111);
  expect([...random.permutation(20)]).toEqual(reference.randomState.permutation);
  expect(reference.randomState.uniform.map(() => random.uniform())).toEqual(reference.randomState.uniform);
});

test("an interval has every number up to its end, and no other", () => {
  const random = new RandomState(5);
  const seen = new Set(Array.from({ length: 200 }, () => random.interval(5)));
  expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  expect(random.interval(0)).toBe(0);
});

test("folds are scikit-learn's", () => {
  const { labels, count, test } = reference.folds;
  const folds = stratifiedFolds(labels, count, 1111);
  expect(folds.map((fold) => [...fold.test])).toEqual(test);
  for (const fold of folds) {
    expect([...fold.train, ...fold.test].sort((a, b) => a - b)).toEqual(labels.map((_, row) => row));
  }
});
