import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cleanUp, cleanUpSteps } from "./clean-up.ts";

describe("clean-up as kongds/scaling_sentemb, evaluation.py, does it", () => {
  test.each([
    ["A man is playing a guitar", "A man is playing a guitar."],
    ["A man is playing a guitar.", "A man is playing a guitar."],
    ["  blanks \t\n", "blanks."],
    ["\u3000wide\u00a0\u0085\u001f", "wide."],
    ["\ufefftext", "\ufefftext."],
    ["Is it raining?", "Is it raining."],
    ["Really??", "Really?."],
    ["So it is!", "So it is!."],
    ['He said "hello" to me', "He said 'hello' to me."],
    ['He said "hello"', "He said 'hello'"],
    ["the dogs'", "the dogs'"],
    ["first\nsecond?", "first\nsecond."],
    ["", ""],
    [" \t ", ""],
  ])("%j becomes %j", (text, cleaned) => expect(cleanUp(text, cleanUpSteps)).toBe(cleaned));
});

test("each step works alone and in the order given", () => {
  expect(cleanUp(' "a?" ', [])).toBe(' "a?" ');
  expect(cleanUp(' "a?" ', ["trim"])).toBe('"a?"');
  expect(cleanUp("a", ["fullStop"])).toBe("a.");
  expect(cleanUp("a ", ["fullStop", "trim"])).toBe("a .");
  expect(cleanUp("a?", ["questionToFullStop", "fullStop"])).toBe("a.");
});

test("half surrogates become U+FFFD, whole pairs stay", () => {
  expect(cleanUp("a\ud83d b\ude00 😀 \ude00\ud83d", [])).toBe("a\ufffd b\ufffd 😀 \ufffd\ufffd");
});

test("a cleaned text has no double quote, no white space at its edges and a closing mark, unless it is empty", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const cleaned = cleanUp(text, cleanUpSteps);
      if (cleaned.includes('"') || !/^$|[.']$/.test(cleaned)) throw new Error(JSON.stringify(cleaned));
      if (cleanUp(cleaned, ["trim"]) !== cleaned) throw new Error(JSON.stringify(cleaned));
    }),
  );
});

test("trims 200,000 blanks between two words in no time", () => {
  const text = `a${" ".repeat(200_000)}b`;
  expect(cleanUp(text, ["trim"])).toBe(text);
});
