import { ModelError } from "../errors.ts";
import type { BpeTables } from "./fast-bpe.ts";
import { bytes, type PreTokenizer, preTokenizers, type TokenizerPart } from "./pre-tokenizers.ts";
import { mergesByScore } from "./score-merges.ts";
import { shown } from "./shown.ts";

type Metadata = Readonly<Record<string, unknown>>;

/** A tokenizer.json whose BPE model is empty, and the tables to fill it with. */
export interface GgufTokenizer {
  readonly json: TokenizerPart;
  readonly tables: BpeTables;
  readonly bosIds: readonly number[];
}

/** llama.cpp's llama_token_type. */
export const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

const spaceMark = "▁"; // how SentencePiece writes a space

/**
 * The tokenizer that a GGUF file's metadata stand for: vocabulary `gpt2` (byte-level BPE) or `llama` (SentencePiece BPE).
 * @throws ModelError "tokenizer" for an unknown kind of vocabulary or pre-tokenizer, which is never guessed
 * @see the GGUF specification (ggml, docs/gguf.md) for the keys; llama.cpp, src/llama-vocab.cpp for what absence means
 */
export function ggufTokenizer(metadata: Metadata, source: string): GgufTokenizer {
  const read = new VocabularyReader(metadata, source);
  const kind = metadata["tokenizer.ggml.model"];
  if (kind === "gpt2") return byteLevelBpe(read);
  if (kind === "llama") return sentencePiece(read);
  throw read.refuse(`its vocabulary is ${shown(kind)}; known: gpt2, llama`);
}

class VocabularyReader {
  readonly metadata: Metadata;
  readonly tokens: readonly string[];
  readonly #source: string;

  constructor(metadata: Metadata, source: string) {
    this.metadata = metadata;
    this.#source = source;
    this.tokens = this.strings("tokenizer.ggml.tokens");
  }

  refuse(reason: string): ModelError {
    return new ModelError(
      "tokenizer",
      `${this.#source}: no tokenizer can be made of it: ${reason}. Use another GGUF file, or the model's folder with its tokenizer.json.`,
    );
  }

  strings(key: string): readonly string[] {
    const value = this.metadata[key];
    if (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string")) return value;
    throw this.refuse(`"${key}" is missing or no list of strings`);
  }

  /** One number for each token; null where the key is absent. */
  numbers(key: string): readonly number[] | null {
    const value = this.metadata[key];
    if (value === undefined) return null;
    const { length } = this.tokens;
    if (Array.isArray(value) && value.length === length && value.every((item) => typeof item === "number")) {
      return value;
    }
    throw this.refuse(`"${key}" is no list of ${length} numbers, one for each token`);
  }

  /** The tokens that are found in the text before anything is cut or merged. */
  addedTokens(types: readonly number[] | null): TokenizerPart[] {
    const added: TokenizerPart[] = [];
    types?.forEach((type, id) => {
      if (type !== tokenType.unknown && type !== tokenType.control && type !== tokenType.userDefined) return;
      const special = type !== tokenType.userDefined;
      const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special };
      added.push({ id, content: this.tokens[id], ...flags });
    });
    return added;
  }

  bosIds(addByDefault: boolean, idByDefault?: number): readonly number[] {
    if ((this.metadata["tokenizer.ggml.add_bos_token"] ?? addByDefault) !== true) return [];
    const id = Number(this.metadata["tokenizer.ggml.bos_token_id"] ?? idByDefault);
    if (this.tokens[id] === undefined) throw this.refuse("it asks for a first token, but bos_token_id names none");
    return [id];
  }
}

function byteLevelBpe(read: VocabularyReader): GgufTokenizer {
  const { preTokenizer, normalizer, ignoreMerges, addBos } = knownPreTokenizer(read);
  return {
    json: {
      added_tokens: read.addedTokens(read.numbers("tokenizer.ggml.token_type")),
      normalizer: normalizer ?? null,
      pre_tokenizer: preTokenizer,
      post_processor: null,
      decoder: bytes,
      model: { type: "BPE", vocab: {}, merges: [], ignore_merges: ignoreMerges ?? false },
    },
    tables: { tokens: read.tokens, merges: read.strings("tokenizer.ggml.merges") },
    bosIds: read.bosIds(addBos ?? false),
  };
}

function knownPreTokenizer(read: VocabularyReader): PreTokenizer {
  const name = read.metadata["tokenizer.ggml.pre"];
  const known = typeof name === "string" ? preTokenizers.get(name) : undefined;
  if (known) return known;
  const names = [...preTokenizers.keys()].join(", ");
  throw read.refuse(`its pre-tokenizer (tokenizer.ggml.pre) is ${shown(name)}; known: ${names}`);
}

/** The form of LLaMA's own tokenizer.json: no words, every space a mark, unknown characters as bytes. */
function sentencePiece(read: VocabularyReader): GgufTokenizer {
  const scores = read.numbers("tokenizer.ggml.scores");
  if (!scores) throw read.refuse('"tokenizer.ggml.scores" is missing');
  const types = read.numbers("tokenizer.ggml.token_type");
  const isPiece = (id: number): boolean => (types?.[id] ?? tokenType.normal) === tokenType.normal;
  const prepend =
    read.metadata["tokenizer.ggml.add_space_prefix"] === false ? [] : [{ type: "Prepend", prepend: spaceMark }];
  const unknown = read.tokens[types?.indexOf(tokenType.unknown) ?? -1];
  return {
    json: {
      added_tokens: read.addedTokens(types),
      normalizer: {
        type: "Sequence",
        normalizers: [...prepend, { type: "Replace", pattern: { String: " " }, content: spaceMark }],
      },
      pre_tokenizer: null,
      post_processor: null,
      decoder: sentencePieceDecoder,
      model: { type: "BPE", vocab: {}, merges: [], unk_token: unknown ?? null, fuse_unk: true, byte_fallback: true },
    },
    tables: { tokens: read.tokens, merges: mergesByScore(read.tokens, scores, isPiece) },
    bosIds: read.bosIds(true, 1),
  };
}

const sentencePieceDecoder: TokenizerPart = {
  type: "Sequence",
  decoders: [
    { type: "Replace", pattern: { String: spaceMark }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
    { type: "Strip", content: " ", start: 1, stop: 0 },
  ],
};
