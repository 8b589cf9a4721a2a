import { expect, test } from "vitest";
import { beats } from "./dev-score.ts";

test("any number is over a score of vectors that were all the same, and such a score over none", () => {
  for (const best of [Number.NaN, null]) expect(beats(-0.2, best)).toBe(true);
  expect(beats(Number.NaN, 0.4)).toBe(false);
  expect([beats(0.5, 0.4), beats(0.4, 0.4), beats(0.3, 0.4)]).toEqual([true, false, false]);
});
