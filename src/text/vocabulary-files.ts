import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { BpeTables } from "./fast-bpe.ts";
import { bytes, preTokenizers, type TokenizerPart } from "./pre-tokenizers.ts";

/** The names under which a tokenizer_config.json lists special tokens. */
const specialKeys = ["bos_token", "eos_token", "unk_token", "pad_token", "additional_special_tokens"];

/**
 * GPT-2's two files, vocab.json and merges.txt beside it, which is all that the OPT checkpoints have.
 * @returns a tokenizer.json whose BPE model is empty, and the tables to fill it with
 * @throws Error for the files of another tokenizer, which cuts texts in another way that they do not say
 */
export async function readVocabularyFiles(
  vocabFile: string,
  vocab: TokenizerPart,
  config: TokenizerPart,
): Promise<{ readonly json: TokenizerPart; readonly tables: BpeTables }> {
  const { tokenizer_class: kind } = config;
  if (typeof kind === "string" && !/^GPT2Tokenizer(Fast)?$/.test(kind)) {
    throw new Error(`vocab.json and merges.txt do not say how a ${kind} cuts texts; save it with a tokenizer.json`);
  }
  const mergesText = await readFile(join(dirname(vocabFile), "merges.txt"), "utf8");
  const merges = mergesText.split("\n").filter((line) => line !== "" && !line.startsWith("#version"));
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(vocab)) {
    checkTokenId(token, id);
    tokens[id] = token;
  }
  return {
    json: {
      added_tokens: specialTokens(config).flatMap((content) => {
        const id = tokens.indexOf(content);
        return id < 0 ? [] : [{ id, content, special: true, normalized: false }];
      }),
      normalizer: null,
      pre_tokenizer: preTokenizers.get("gpt-2")!.preTokenizer,
      post_processor: null,
      decoder: bytes,
      model: { type: "BPE", vocab: {}, merges: [], ignore_merges: false },
    },
    tables: { tokens, merges },
  };
}

/** @throws Error that names the token whose id is none, or larger than any vocabulary's */
export function checkTokenId(token: string, id: unknown): asserts id is number {
  if (Number.isInteger(id) && (id as number) >= 0 && (id as number) <= 2 ** 24) return;
  throw new Error(`${JSON.stringify(token)} has the id ${JSON.stringify(id)}`);
}

function specialTokens(config: TokenizerPart): string[] {
  const named = specialKeys.flatMap((key) => config[key] ?? []).map(tokenContent);
  return [...new Set(named.filter((content) => content !== undefined))];
}

/** A token of a tokenizer_config.json: its text, or an object with it. */
export function tokenContent(token: unknown): string | undefined {
  const content = typeof token === "object" && token !== null ? (token as TokenizerPart).content : token;
  return typeof content === "string" ? content : undefined;
}
