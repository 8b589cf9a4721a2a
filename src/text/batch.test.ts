import fc from "fast-check";
import { expect, test } from "vitest";
import { planBatches, uniqueIndex } from "./batch.ts";

const lengths = fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 200 });
const budget = fc.integer({ min: 1, max: 600 });

test("every sequence is in one batch, once", () => {
  fc.assert(
    fc.property(lengths, budget, (lengths, maxBatchTokens) => {
      const planned = planBatches(lengths, { maxBatchTokens }).flat();
      expect(planned.sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i));
    }),
  );
});

test("a batch keeps to the budget, and its padded grid to twice as much, unless it is one sequence", () => {
  fc.assert(
    fc.property(lengths, budget, (lengths, maxBatchTokens) => {
      for (const batch of planBatches(lengths, { maxBatchTokens })) {
        expect(batch.length).toBeGreaterThan(0);
        if (batch.length === 1) continue;
        const own = batch.map((i) => lengths[i]!);
        expect(own.reduce((sum, length) => sum + length)).toBeLessThanOrEqual(maxBatchTokens);
        expect(Math.max(...own) * own.length).toBeLessThanOrEqual(2 * maxBatchTokens);
      }
    }),
  );
});

test("lengths fall from batch to batch, equal ones stay in input order, and no batch could take the next sequence", () => {
  expect(planBatches([3, 5, 3, 9, 5], { maxBatchTokens: 10 })).toEqual([[3], [1, 4], [0, 2]]);
  expect(planBatches([30, 1, 1], { maxBatchTokens: 10 })).toEqual([[0], [1, 2]]);
  expect(planBatches([9, 0, 0, 0], { maxBatchTokens: 10 })).toEqual([
    [0, 1],
    [2, 3],
  ]);
  expect(planBatches(new Int32Array(), { maxBatchTokens: 10 })).toEqual([]);
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
