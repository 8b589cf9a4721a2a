import fc from "fast-check";
import { expect, test } from "vitest";
import type { Example } from "./examples.ts";
import { linearSchedule } from "./schedule.ts";
import { planEpoch } from "./step-plan.ts";

const example = (anchor: number, positive: number): Example => ({
  anchor: `t${anchor}`,
  positive: `t${positive}`,
  hardNegative: null,
});

test("no text is twice in a step, no example twice in an epoch, and every step is full", () => {
  const examples = fc.array(fc.tuple(fc.nat(20), fc.nat(20)), { minLength: 60, maxLength: 200 });
  fc.assert(
    fc.property(examples, fc.nat(), (pairs, seed) => {
      const rows = pairs.map(([a, p]) => example(a, p + 10)); // half of the texts are anchors and positives
      const batchSize = Math.min(new Set(pairs.map(([a]) => a)).size, new Set(pairs.map(([, p]) => p)).size) >> 2 || 1;
      const steps = planEpoch(rows, batchSize, seed);
      const used = steps.flat();
      expect(new Set(used).size).toBe(used.length);
      for (const step of steps) {
        expect(step).toHaveLength(batchSize);
        const texts = step.map((i) => new Set([rows[i]!.anchor, rows[i]!.positive]));
        expect(new Set(texts.flatMap((own) => [...own])).size).toBe(texts.reduce((sum, { size }) => sum + size, 0));
      }
    }),
  );
});

test("the order follows from the seed", () => {
  const rows = Array.from({ length: 50 }, (_, i) => example(i, i));
  expect(planEpoch(rows, 10, 1)).toEqual(planEpoch(rows, 10, 1));
  expect(planEpoch(rows, 10, 1)).not.toEqual(planEpoch(rows, 10, 2));
});

test("an epoch of a quarter of a million examples, two of each anchor, is planned in a moment", () => {
  const rows = Array.from({ length: 250_000 }, (_, i) => example(i >> 1, 250_000 + i));
  const startedAt = performance.now();
  expect(planEpoch(rows, 16, 1)).toHaveLength(15_625);
  expect(performance.now() - startedAt).toBeLessThan(10_000); // half a second; minutes where every step copies the rest
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
