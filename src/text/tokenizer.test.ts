import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ModelError } from "../errors.ts";
import { loadTokenizer, type Tokenizer, tokenizerFromGguf } from "./tokenizer.ts";

/** Written by Python's tokenizers, transformers and sentencepiece: see the folder's README.md. */
const fixtures = resolve(import.meta.dirname, "../../test/fixtures/tokenizers");
const readFixture = (name: string) => JSON.parse(readFileSync(join(fixtures, name), "utf8"));
const texts: string[] = readFixture("texts.json");
const expected: Record<string, number[][]> = readFixture("expected.json");
const gpt2Metadata: Record<string, unknown> = readFixture("gpt2.gguf-metadata.json");
const llamaMetadata: Record<string, unknown> = readFixture("llama.gguf-metadata.json");

function expectIds(tokenizer: Tokenizer, ids: readonly number[][], front: readonly number[] = []): void {
  texts.forEach((text, i) => {
    expect(tokenizer.encode(text), JSON.stringify(text)).toEqual([...front, ...ids[i]!]);
  });
}

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-tokenizer-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("a tokenizer from GGUF metadata gives the ids of the Rust original", () => {
  for (const pre of ["gpt-2", "smollm", "command-r", "llama-bpe", "qwen2", "tekken", "gpt-4o"]) {
    test(`byte-level BPE, ${pre}`, () => {
      const metadata = { ...gpt2Metadata, "tokenizer.ggml.pre": pre, "tokenizer.ggml.add_bos_token": false };
      expectIds(tokenizerFromGguf(metadata, "a.gguf"), expected[pre]!);
    });
  }

  test("SentencePiece, with <s> in front", () => {
    const tokenizer = tokenizerFromGguf(llamaMetadata, "a.gguf");
    expect(tokenizer.bosIds).toEqual([1]);
    expectIds(tokenizer, expected.llama!);
  });

  test("SentencePiece as sentencepiece itself has it, save for text that spells a special token", () => {
    const tokenizer = tokenizerFromGguf({ ...llamaMetadata, "tokenizer.ggml.add_bos_token": false }, "a.gguf");
    texts.forEach((text, i) => {
      if (!/<s>|<unk>/.test(text)) expect(tokenizer.encode(text), text).toEqual(expected.sentencepiece![i]);
    });
  });
});

describe("a tokenizer from files gives the ids of the Rust original", () => {
  const at = (name: string): string => join(fixtures, name);

  test("SmolLM2's form: no token in front", async () => {
    const tokenizer = await loadTokenizer(at("smollm/tokenizer.json"));
    expect(tokenizer.bosIds).toEqual([]);
    expectIds(tokenizer, expected.smollm!);
  });

  test("LLaMA 3's form: the post-processor's token in front", async () => {
    expectIds(await loadTokenizer(at("llama-bpe/tokenizer.json")), expected["llama-bpe"]!, [0]);
  });

  test("LLaMA 1 and 2's form: <s> in front", async () => {
    expectIds(await loadTokenizer(at("llama/tokenizer.json")), expected.llama!);
  });

  test("OPT: </s> in front", async () => {
    const tokenizer = await loadTokenizer(at("opt/tokenizer.json"), at("opt/tokenizer_config.json"));
    expect(tokenizer.bosIds).toEqual([2]);
    expectIds(tokenizer, expected.opt!);
  });

  test("OPT from vocab.json and merges.txt, which is all its checkpoints have", async () => {
    expectIds(await loadTokenizer(at("opt/vocab.json"), at("opt/tokenizer_config.json")), expected.opt!);
  });
});

describe("200 nasty texts get the ids of the Rust original", () => {
  const nasty: { texts: string[]; ids: Record<string, number[][]> } = readFixture("nasty.json");
  const expectNasty = (tokenizer: Tokenizer, name: string): void => {
    nasty.texts.forEach((text, i) => {
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(nasty.ids[name]![i]);
    });
  };

  test.each(Object.keys(nasty.ids))("%s, tokenizer.json", async (name) => {
    const config = join(fixtures, name, "tokenizer_config.json");
    const tokenizer = await loadTokenizer(
      join(fixtures, name, "tokenizer.json"),
      existsSync(config) ? config : undefined,
    );
    expectNasty(tokenizer, name);
  });

  test("opt, vocab.json and merges.txt", async () => {
    const folder = join(fixtures, "opt");
    expectNasty(await loadTokenizer(join(folder, "vocab.json"), join(folder, "tokenizer_config.json")), "opt");
  });

  test.each(["smollm", "qwen2"])("%s, from GGUF metadata", (name) => {
    const metadata = { ...gpt2Metadata, "tokenizer.ggml.pre": name };
    expectNasty(tokenizerFromGguf(metadata, "a.gguf"), name);
  });

  test("llama, from GGUF metadata", () => expectNasty(tokenizerFromGguf(llamaMetadata, "a.gguf"), "llama"));
});

describe("the token in front", () => {
  const front = (metadata: Record<string, unknown>): readonly number[] => tokenizerFromGguf(metadata, "a.gguf").bosIds;

  test("of a GGUF file that says nothing is LLaMA 3's, Tekken's and SentencePiece's, nobody else's", () => {
    expect(front({ ...gpt2Metadata, "tokenizer.ggml.pre": "smollm" })).toEqual([]);
    expect(front({ ...gpt2Metadata, "tokenizer.ggml.pre": "qwen2" })).toEqual([]);
    expect(front({ ...gpt2Metadata, "tokenizer.ggml.pre": "llama-bpe" })).toEqual([1]);
    expect(front(llamaMetadata)).toEqual([1]);
  });

  test("of a LLaMA whose config says add_bos_token false is none", async () => {
    const config = join(folder, "tokenizer_config.json");
    await writeFile(config, '{"tokenizer_class":"LlamaTokenizer","add_bos_token":false}');
    expect((await loadTokenizer(join(fixtures, "llama/tokenizer.json"), config)).bosIds).toEqual([]);
  });

  test("is refused when the file does not have it", () => {
    const metadata = { ...gpt2Metadata, "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.bos_token_id": 1e6 };
    expect(() => front(metadata)).toThrow(/a\.gguf: .*bos_token_id names none/);
  });
});

describe("decode", () => {
  test("gives the text back, marks and double spaces as they were", () => {
    const smollm = tokenizerFromGguf({ ...gpt2Metadata, "tokenizer.ggml.pre": "smollm" }, "a.gguf");
    const llama = tokenizerFromGguf({ ...llamaMetadata, "tokenizer.ggml.add_bos_token": false }, "a.gguf");
    for (const tokenizer of [smollm, llama]) {
      for (const text of ["", "A man , who  is here .", "café 😀 数"]) {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }
    }
  });
});

describe("metadata that cannot be used are refused with the reason", () => {
  const refused: [string, Record<string, unknown>, RegExp][] = [
    ["unknown vocabulary", { "tokenizer.ggml.model": "rwkv" }, /vocabulary is "rwkv"; known: gpt2, llama/],
    ["unknown pre-tokenizer", { "tokenizer.ggml.pre": "default" }, /"default"; known: gpt-2, .*smollm/],
    ["no pre-tokenizer", {}, /nothing; known/],
    ["no tokens", { "tokenizer.ggml.tokens": undefined }, /"tokenizer.ggml.tokens" is missing/],
    ["no merges", { "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.merges": [1] }, /"tokenizer.ggml.merges"/],
    ["types too short", { "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.token_type": [1] }, /one for each token/],
    ["no scores", { "tokenizer.ggml.model": "llama" }, /"tokenizer.ggml.scores" is missing/],
  ];
  for (const [name, change, message] of refused) {
    test(name, () => {
      const make = (): Tokenizer => tokenizerFromGguf({ ...gpt2Metadata, ...change }, "a.gguf");
      expect(make).toThrow(ModelError);
      expect(make).toThrow(message);
      expect(make).toThrow(/^a\.gguf: /);
    });
  }
});

describe("a damaged tokenizer.json is a ModelError with the file and advice", () => {
  const file = (): string => join(folder, "tokenizer.json");

  test.each([
    ["cut short", '{"model":{"type":"BPE","vocab":{"a":0'],
    ["not an object", "[]"],
    ["empty", "{}"],
    ["no merges", '{"added_tokens":[],"normalizer":null,"model":{"type":"BPE","vocab":{}}}'],
  ])("%s", async (_, content) => {
    await writeFile(file(), content);
    await expect(loadTokenizer(file())).rejects.toThrow(ModelError);
    await expect(loadTokenizer(file())).rejects.toThrow(/tokenizer\.json: no tokenizer can be made of it: .*Download/);
  });

  test("a pattern of no known kind is refused, not left out", async () => {
    const whole = readFixture("qwen2/tokenizer.json");
    const [cut, bytes] = whole.pre_tokenizer.pretokenizers;
    const pre_tokenizer = { type: "Sequence", pretokenizers: [{ ...cut, pattern: { Glob: "*" } }, bytes] };
    await writeFile(file(), JSON.stringify({ ...whole, pre_tokenizer }));
    await expect(loadTokenizer(file())).rejects.toThrow(/its pattern \{"Glob":"\*"\} is of no known kind/);
  });

  test.each([
    [
      "a split that keeps what does not match",
      { type: "Split", pattern: { Regex: "a" }, behavior: "Isolated", invert: true },
    ],
    ["a split into runs", { type: "Split", pattern: { Regex: "a" }, behavior: "Contiguous" }],
    ["a split with what is before", { type: "Split", pattern: { String: "a" }, behavior: "MergedWithPrevious" }],
    ["text that is taken out", { type: "Split", pattern: { String: "a" }, behavior: "Removed" }],
    ["punctuation by itself", { type: "Punctuation", behavior: "Isolated" }],
  ])("a part that the library does in another way than the original is refused: %s", async (_what, part) => {
    const whole = readFixture("qwen2/tokenizer.json");
    const pre_tokenizer = { type: "Sequence", pretokenizers: [part, whole.pre_tokenizer.pretokenizers[1]] };
    await writeFile(file(), JSON.stringify({ ...whole, pre_tokenizer }));
    await expect(loadTokenizer(file())).rejects.toThrow(/its part \{"type".* would give other tokens here/);
  });

  test("a space in front of every text of which tokenizer.json and config say different things is refused", async () => {
    const config = join(folder, "tokenizer_config.json");
    const whole = readFixture("smollm/tokenizer.json");
    await writeFile(file(), JSON.stringify(whole));
    for (const kind of ["GPT2Tokenizer", undefined]) {
      await writeFile(config, JSON.stringify({ add_prefix_space: true, tokenizer_class: kind }));
      await expect(loadTokenizer(file(), config)).rejects.toThrow(/differ in add_prefix_space/);
    }
    await writeFile(config, JSON.stringify({ add_prefix_space: true, tokenizer_class: "PreTrainedTokenizerFast" }));
    expect((await loadTokenizer(file(), config)).encode("a")).toEqual((await loadTokenizer(file())).encode("a"));
    const pre_tokenizer = { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true };
    await writeFile(file(), JSON.stringify({ ...whole, pre_tokenizer }));
    await writeFile(config, JSON.stringify({ tokenizer_class: "GPT2Tokenizer" }));
    await expect(loadTokenizer(file(), config)).rejects.toThrow(/differ in add_prefix_space/);
  });

  test("vocab.json and merges.txt of another tokenizer than GPT-2's are refused", async () => {
    const config = join(folder, "tokenizer_config.json");
    const vocab = join(folder, "vocab.json");
    await writeFile(join(folder, "merges.txt"), "#version: 0.2\n");
    await writeFile(vocab, JSON.stringify({ a: 0 }));
    await writeFile(config, JSON.stringify({ tokenizer_class: "Qwen2Tokenizer" }));
    await expect(loadTokenizer(vocab, config)).rejects.toThrow(
      /do not say how a Qwen2Tokenizer cuts texts; save it with/,
    );
  });

  test.each([2 ** 31, -1, 1.5, {}, null])("an id of %j is refused by its token's name", async (id) => {
    for (const name of ["llama", "smollm"]) {
      const whole = readFixture(`${name}/tokenizer.json`);
      const token = Object.keys(whole.model.vocab)[9]!;
      whole.model.vocab[token] = id;
      await writeFile(file(), JSON.stringify(whole));
      await expect(loadTokenizer(file())).rejects.toThrow(`${JSON.stringify(token)} has the id ${JSON.stringify(id)}`);
    }
  });

  test("whatever the JSON, nothing else is thrown", async () => {
    const whole = readFixture("smollm/tokenizer.json");
    const keys = fc.constantFrom(...Object.keys(whole), "model.vocab", "model.merges", "model.type", "model.unk_token");
    await fc.assert(
      fc.asyncProperty(keys, fc.jsonValue(), async (key, value) => {
        const [outer = "", inner] = key.split(".");
        const changed = inner ? { ...whole[outer], [inner]: value } : value;
        await writeFile(file(), JSON.stringify({ ...whole, [outer]: changed }));
        const tokenizer = await loadTokenizer(file()).catch((error: unknown) => {
          expect(error).toBeInstanceOf(ModelError);
          return null;
        });
        if (tokenizer) expect(tokenizer.encode("a b").every(Number.isInteger)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

const golden = resolve(process.env.ONEWORD_GOLDEN ?? resolve(import.meta.dirname, "../../../shared/golden"));
test.skipIf(!existsSync(golden))(
  "every prompt of the golden SmolLM2 cases is cleaned and filled as there",
  async () => {
    const { cases } = JSON.parse(readFileSync(join(golden, "smollm2-135m.json"), "utf8"));
    const { cleanUp, cleanUpSteps } = await import("./clean-up.ts");
    const { fillParts, promptParts } = await import("./prompt-parts.ts");
    const { templates } = await import("./templates.ts");
    const demonstration = { sentence: "A jockey riding a horse", word: "Equestrian" };
    for (const { text, template, prompt } of cases) {
      const demonstrations = template === "eol" ? [] : [demonstration];
      const [parts] = promptParts({ template: templates.eol!, demonstrations, cleanUp: cleanUpSteps });
      expect(fillParts(parts!, cleanUp(text, cleanUpSteps))).toBe(prompt);
    }
  },
);
