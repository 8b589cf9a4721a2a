import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FastBpe, fillTokens, rankTable } from "./fast-bpe.ts";
import { BPE } from "./tokenizers-library.ts";

const tokens = ["▁", "a", "b", "c", "ab", "▁a", "▁ab", "▁▁", "bc", "abc", "cc", "▁abc"];
const merges = ["a b", "▁ a", "▁ ab", "▁ ▁", "b c", "ab c", "c c", "▁ abc", "▁a b"];
const config = { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges };

describe("FastBpe", () => {
  const library = new BPE(config);
  const fast = new FastBpe(new BPE({ ...config, merges: [] }), rankTable(merges), false);

  test("merges as the library does, words met before included", () => {
    const words = fc.array(fc.string({ unit: fc.constantFrom("▁", "a", "b", "c"), minLength: 1 }));
    fc.assert(
      fc.property(words, (list) => {
        expect(fast.encode(list)).toEqual(library.encode(list));
      }),
    );
  });

  test("keeps the library's ranks when it is given none", () => {
    const own = new FastBpe(new BPE(config), null, false);
    expect(own.encode(["▁abccc", "▁abccc"])).toEqual(library.encode(["▁abccc", "▁abccc"]));
  });

  test("does not cut at space marks when a token has one inside", () => {
    const inside = { type: "BPE", vocab: { a: 0, "▁": 1, b: 2, "a▁": 3, "a▁b": 4 }, merges: ["a ▁", "a▁ b"] };
    const whole = new FastBpe(new BPE(inside), rankTable(inside.merges), false);
    expect(whole.encode(["a▁b"])).toEqual(["a▁b"]);
  });
});

test("a token with a space of its own makes the table of ranks ambiguous", () => {
  expect(rankTable([["a b", "c"]])).toBeNull();
  expect(rankTable(["ab"])).toBeNull();
  expect(rankTable([["a", "b"], "c d"])).toEqual(
    new Map([
      ["a b", 0],
      ["c d", 1],
    ]),
  );
});

test("fills in the tokens of an empty model", () => {
  const model = new BPE({ type: "BPE", vocab: {}, merges: [], unk_token: "b" });
  fillTokens(model, ["a", "b"]);
  expect([model.tokens_to_ids.get("a"), model.vocab[1], model.unk_token_id]).toEqual([0, "b", 1]);
});
