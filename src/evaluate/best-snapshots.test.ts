import { expect, test } from "vitest";
import { BestSnapshots } from "./best-snapshots.ts";

const one = { problems: 1, penalties: 1, classes: 1, features: 1, rows: 1 };

test("failures count over the whole training, and the best snapshot before the end stays", () => {
  const best = new BestSnapshots(one, 1);
  const accuracies = [0.5, 0.4, 0.6, 0.6, 0.9]; // the first failure at 0.4, the second, which ends it, at the equal 0.6
  const isDone = accuracies.map((accuracy, round) => {
    best.see([[accuracy]], Float32Array.of(round));
    return best.isDone;
  });
  expect(isDone).toEqual([false, false, false, true, true]);
  expect(best.results).toEqual([[{ accuracy: 0.6, parameters: Float32Array.of(2) }]]);
});

test("takes every regression's own columns out of the joined parameters", () => {
  const best = new BestSnapshots({ problems: 2, penalties: 2, classes: 2, features: 1, rows: 1 }, 0);
  best.see(
    [
      [0.1, 0.2],
      [0.3, 0.4],
    ],
    Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  );
  const columns = best.results.map((row) => row.map(({ parameters }) => [...parameters]));
  expect(columns).toEqual([
    [
      [1, 2],
      [3, 4],
    ],
    [
      [5, 6],
      [7, 8],
    ],
  ]);
});
