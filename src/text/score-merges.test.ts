import { expect, test } from "vitest";
import { mergesByScore } from "./score-merges.ts";

const always = (): boolean => true;

test("the best score comes first, whatever the order of the tokens", () => {
  expect(mergesByScore(["a", "b", "c", "ab", "bc"], [0, 0, 0, -5, -4], always)).toEqual([
    ["b", "c"],
    ["a", "b"],
  ]);
});

test("a token has a merge for every cut into two others, the longer left part first", () => {
  expect(mergesByScore(["a", "b", "c", "ab", "bc", "abc"], [0, 0, 0, -1, -2, -3], always)).toEqual([
    ["a", "b"],
    ["b", "c"],
    ["ab", "c"],
    ["a", "bc"],
  ]);
});

test("characters outside the basic plane are cut whole", () => {
  expect(mergesByScore(["😀", "👍", "😀👍"], [0, 0, -1], always)).toEqual([["😀", "👍"]]);
});

test("control and byte tokens do not come out of a merge", () => {
  expect(mergesByScore(["<", "s", "<s"], [0, 0, 0], (id) => id !== 2)).toEqual([]);
});
