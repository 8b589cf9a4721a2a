import fc from "fast-check";
import { expect, test } from "vitest";
import { linearSchedule } from "./schedule.ts";
import { planEpoch } from "./step-plan.ts";

const example = (anchor: number, positive: number) => ({
  anchor: `a${anchor}`,
  positive: `p${positive}`,
  hardNegative: null,
});

test("no text is twice in a step, no example twice in an epoch, and every step is full", () => {
  const examples = fc.array(fc.tuple(fc.nat(20), fc.nat(20)), { minLength: 60, maxLength: 200 });
  fc.assert(
    fc.property(examples, fc.nat(), (pairs, seed) => {
      const rows = pairs.map(([a, p]) => example(a, p));
      const batchSize = Math.min(new Set(pairs.map(([a]) => a)).size, new Set(pairs.map(([, p]) => p)).size) >> 2 || 1;
      const steps = planEpoch(rows, batchSize, seed);
      const used = steps.flat();
      expect(new Set(used).size).toBe(used.length);
      for (const step of steps) {
        expect(step).toHaveLength(batchSize);
        expect(new Set(step.map((i) => rows[i]!.anchor)).size).toBe(batchSize);
        expect(new Set(step.map((i) => rows[i]!.positive)).size).toBe(batchSize);
      }
    }),
  );
});

test("the order follows from the seed", () => {
  const rows = Array.from({ length: 50 }, (_, i) => example(i, i));
  expect(planEpoch(rows, 10, 1)).toEqual(planEpoch(rows, 10, 1));
  expect(planEpoch(rows, 10, 1)).not.toEqual(planEpoch(rows, 10, 2));
});

test("too few examples for a step are an error that says so", () => {
  expect(() => planEpoch([example(1, 1), example(1, 2)], 2, 1)).toThrow(/2 examples do not fill a batch of 2/);
});

test("the learning rate grows over the warm-up and falls to 0 at the end", () => {
  const rates = [0, 1, 2, 3, 4, 5, 6].map((step) =>
    linearSchedule(step, { learningRate: 4, warmupSteps: 2, totalSteps: 6 }),
  );
  expect(rates).toEqual([0, 2, 4, 3, 2, 1, 0]);
});
