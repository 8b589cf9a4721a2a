import { describe, expect, test } from "vitest";
import { exactPreTokenizer, preTokenizers } from "./pre-tokenizers.ts";
import { Pipeline } from "./tokenizers-library.ts";

/** The words of a text: every byte is a token, so that a word's length in bytes is its number of tokens. */
function words(preTokenizer: unknown, text: string): string[] {
  const model = { type: "BPE", vocab: {}, merges: [] };
  const parts = exactPreTokenizer(preTokenizer).filter(({ type }) => type !== "ByteLevel");
  const found: string[] = [];
  const pipeline = new Pipeline(
    {
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: "Sequence", pretokenizers: parts },
      post_processor: null,
      decoder: null,
      model,
    },
    {},
  );
  pipeline.model.encode = (list) => {
    found.push(...list);
    return [];
  };
  pipeline.encode(text);
  return found;
}

const cut = (name: string, text: string): string[] => words(preTokenizers.get(name)!.preTokenizer, text);

describe("the pre-tokenizer", () => {
  test("gpt-2 keeps a number whole and leaves one space to the next word", () => {
    expect(cut("gpt-2", "it's 123  ok")).toEqual(["it", "'s", " 123", " ", " ok"]);
  });

  test("smollm takes digits one by one, those of other scripts too, and never with a space", () => {
    expect(cut("smollm", "a 12 x² ٣")).toEqual(["a", " ", "1", "2", " x", "²", " ", "٣"]);
  });

  test("llama-bpe takes digits by threes and contractions in any case", () => {
    expect(cut("llama-bpe", "IT'S 12345")).toEqual(["IT", "'S", " ", "123", "45"]);
  });

  test("qwen2 takes digits one by one, and a mark with the line end behind it", () => {
    expect(cut("qwen2", "(12)\n\nx")).toEqual(["(", "1", "2", ")\n\n", "x"]);
  });

  test("tekken cuts where lower case meets upper case", () => {
    expect(cut("tekken", "camelCase ABCd")).toEqual(["camel", "Case", " ABCd"]);
  });
});

describe("exactPreTokenizer", () => {
  test("white space is Unicode's, as in the Rust original: U+0085 is, U+FEFF is not", () => {
    const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: true };
    expect(words(byteLevel, "a\u0085\u0085b")).toEqual(["a", "\u0085", "\u0085", "b"]);
    expect(words(byteLevel, "a\ufeff!")).toEqual(["a", "\ufeff!"]);
  });

  test("Digits takes every number character", () => {
    expect(words({ type: "Digits", individual_digits: false }, "a½٣b")).toEqual(["a", "½٣", "b"]);
  });

  test("leaves what it does not know as it is", () => {
    const metaspace = { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false };
    expect(exactPreTokenizer({ type: "Sequence", pretokenizers: [metaspace] })).toEqual([metaspace]);
    expect(exactPreTokenizer(null)).toEqual([]);
  });
});
