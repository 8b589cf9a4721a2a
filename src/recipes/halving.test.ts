import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { halve, planRounds } from "./halving.ts";

/** Items that are run: a survivor's earlier ones are not run again. */
function cost(candidates: number, items: number): number {
  let [total, count, before] = [0, candidates, 0];
  for (const round of planRounds(candidates, items)) {
    total += count * (round.items - before);
    [count, before] = [round.survivors, round.items];
  }
  return total;
}

describe("the rounds", () => {
  test("for 300 candidates and 1,500 items cost less than a twentieth of scoring all of them on all", () => {
    expect(planRounds(300, 1500)).toEqual([
      { items: 25, survivors: 75 },
      { items: 75, survivors: 24 },
      { items: 225, survivors: 8 },
      { items: 600, survivors: 3 },
      { items: 1500, survivors: 1 },
    ]);
    expect(cost(300, 1500)).toBeLessThan((300 * 1500) / 20);
  });

  test("grow, thin out, and end on all items with one", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 5000 }), (candidates, items) => {
        const rounds = planRounds(candidates, items);
        expect(rounds.at(-1)).toEqual({ items, survivors: 1 });
        let [count, before] = [candidates, 0];
        for (const round of rounds) {
          expect(round.items).toBeGreaterThan(before);
          expect(round.survivors).toBeGreaterThan(0);
          expect(round.survivors).toBeLessThanOrEqual(count);
          [count, before] = [round.survivors, round.items];
        }
      }),
    );
  });
});

describe("halving", () => {
  const candidates = Array.from({ length: 40 }, (_, i) => i);

  test("finds the best where small samples mislead a little", async () => {
    const noisy = async (candidate: number, items: number): Promise<number> =>
      candidate + (((candidate * 7919) % 13) - 6) * (25 / items); // off by up to 6 at 25 items
    const [best, second] = await halve(candidates, planRounds(40, 1500), noisy);
    expect(best).toMatchObject({ candidate: 39, items: 1500 });
    expect(second!.items).toBe(1500);
  });

  test("scores no candidate that fell out on more items", async () => {
    const runs: [number, number][] = [];
    await halve(candidates, planRounds(40, 200), async (candidate, items) => {
      runs.push([candidate, items]);
      return candidate;
    });
    const counts = planRounds(40, 200).map(({ items }) => runs.filter((run) => run[1] === items).length);
    expect(counts).toEqual([40, 10, 3]);
    expect(runs.filter(([, items]) => items === 200).map(([candidate]) => candidate)).toEqual([39, 38, 37]);
  });

  test("that is stopped in a round has the results of the rounds before", async () => {
    let asked = 0;
    const results = await halve(
      candidates,
      planRounds(40, 200),
      async (candidate) => candidate,
      () => ++asked > 45,
    );
    expect(results).toHaveLength(40);
    expect(results[0]).toMatchObject({ candidate: 39, items: 25 });
  });
});
