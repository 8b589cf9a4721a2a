import fc from "fast-check";
import { expect, test } from "vitest";
import { planBatches, uniqueIndex } from "./batch.ts";
import type { TokenSequence } from "./token-tree.ts";

const sequences = fc.array(
  fc.record({
    ids: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 60 }),
    shareable: fc.integer({ min: 0, max: 60 }),
  }),
  { maxLength: 60 },
);
const budget = fc.integer({ min: 1, max: 200 });

test("every sequence is in one batch, once, and in its place of the tree", () => {
  fc.assert(
    fc.property(sequences, budget, (sequences, maxBatchTokens) => {
      const batches = [...planBatches(sequences, { maxBatchTokens })];
      const planned = batches.flatMap(({ indexes }) => indexes);
      expect(planned.sort((a, b) => a - b)).toEqual([...sequences.keys()]);
      for (const { indexes, tree } of batches) {
        expect(tree.paths.map((path) => path.map((token) => tree.ids[token]))).toEqual(
          indexes.map((i) => sequences[i]!.ids),
        );
      }
    }),
  );
});

test("a batch keeps to the budget, and its padded grid to twice as much, unless it is one sequence", () => {
  fc.assert(
    fc.property(sequences, budget, (sequences, maxBatchTokens) => {
      for (const { indexes, tree } of planBatches(sequences, { maxBatchTokens })) {
        expect(indexes.length).toBeGreaterThan(0);
        if (indexes.length === 1) continue;
        expect(tree.ids.length).toBeLessThanOrEqual(maxBatchTokens);
        expect(tree.longest * indexes.length).toBeLessThanOrEqual(2 * maxBatchTokens);
      }
    }),
  );
});

test("of the padded grid the tokens that all sequences begin with are not counted", () => {
  const beginning = new Array<number>(50).fill(1);
  const sequences = Array.from({ length: 20 }, (_, i) => ({ ids: [...beginning, 100 + i, 2, 2, 2, 2] }));
  const batches = (prefixTokens?: number): number[] =>
    Array.from(planBatches(sequences, { maxBatchTokens: 150, prefixTokens }), ({ indexes }) => indexes.length);
  expect(batches()).toEqual([5, 5, 5, 5]);
  expect(batches(50)).toEqual([20]); // 50 + 20 · 5 tokens
});

const planOf = (sequences: readonly TokenSequence[], maxBatchTokens: number): (readonly number[])[] =>
  Array.from(planBatches(sequences, { maxBatchTokens }), ({ indexes }) => indexes);
const apart = (...lengths: number[]): TokenSequence[] =>
  lengths.map((length) => ({ ids: new Int32Array(length), shareable: 0 }));

test("lengths fall from batch to batch, equal ones stay in input order, and no batch could take the next sequence", () => {
  expect(planOf(apart(3, 5, 3, 9, 5), 10)).toEqual([[3], [1, 4], [0, 2]]);
  expect(planOf(apart(30, 1, 1), 10)).toEqual([[0], [1, 2]]);
  expect(planOf([], 10)).toEqual([]);
});

test("of similar lengths those that begin alike meet, and count once", () => {
  const texts = ["the cat sat", "a dog ran on", "the cat sat on", "a dog ran off", "the cat ran"];
  const sequences = texts.map((text) => ({ ids: text.split(" ").map((word) => word.charCodeAt(0)) }));
  expect(planOf(sequences, 7)).toEqual([
    [1, 3],
    [0, 4, 2],
  ]); // 4 + 1 tokens and 3 + 1 + 2
});

test("equal keys are kept once and every key finds its own", () => {
  expect(uniqueIndex(["a", "b", "a", "", "b", ""])).toEqual({ unique: [0, 1, 3], of: [0, 1, 0, 2, 1, 2] });
  fc.assert(
    fc.property(fc.array(fc.constantFrom("__proto__", "a", "b", "\ufffd")), (keys) => {
      const { unique, of } = uniqueIndex(keys);
      expect(of.map((place) => keys[unique[place]!])).toEqual(keys);
      expect(new Set(unique.map((i) => keys[i])).size).toBe(unique.length);
    }),
  );
});
