import { calibrationSentences } from "../embed/calibration-sentences.ts";
import { ModelError } from "../errors.ts";
import type { GgufValue } from "../files/gguf-writer.ts";
import type { GgufMetadata } from "../models/gguf-model.ts";
import { tokenType } from "../text/gguf-tokenizer.ts";
import { preTokenizerName, type TokenizerPart } from "../text/pre-tokenizers.ts";
import { type Tokenizer, tokenizerFromGguf } from "../text/tokenizer.ts";
import { tokenContent } from "../text/vocabulary-files.ts";

type Vocabulary = ReadonlyMap<string, GgufValue>;

/** The keys of a GGUF file that say its tokenizer, as they are. */
export function copiedVocabulary(metadata: GgufMetadata): Vocabulary {
  const keys = Object.keys(metadata).filter((key) => key.startsWith("tokenizer."));
  return new Map(
    keys.map((key) => [key, { type: typeOf(key, [metadata[key]].flat()), value: metadata[key] }] as const),
  ) as Vocabulary;
}

/** Types are not kept when a file is read; these are what llama.cpp asks for. */
function typeOf(key: string, values: readonly unknown[]): GgufValue["type"] {
  if (key === "tokenizer.ggml.scores") return "float32";
  if (key === "tokenizer.ggml.token_type") return "int32";
  if (values.every((value) => typeof value === "string")) return "string";
  if (values.every((value) => typeof value === "boolean")) return "bool";
  if (values.every((value) => Number.isInteger(value) && Number(value) >= 0 && Number(value) < 2 ** 32))
    return "uint32";
  return values.every((value) => typeof value === "bigint" || Number.isInteger(value)) ? "int64" : "float32";
}

export interface VocabularySource {
  /** tokenizer.json */
  readonly json: TokenizerPart;
  /** tokenizer_config.json */
  readonly config: TokenizerPart;
  /** What is made of them. */
  readonly tokenizer: Tokenizer;
  /** Rows of the model's token table. */
  readonly vocabSize: number;
  /** For error messages. */
  readonly source: string;
}

interface Added {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
}

/**
 * A tokenizer.json as a GGUF vocabulary: byte-level BPE as `gpt2`, SentencePiece's BPE as `llama`. Read back, it must cut some
 * fifty texts as the original does.
 * @throws ModelError "tokenizer" for one that GGUF cannot say
 */
export function writtenVocabulary(source: VocabularySource): Vocabulary {
  const { json, tokenizer } = source;
  const model = (json.model ?? {}) as TokenizerPart;
  if (model.type !== "BPE")
    throw refusal(source, `its kind is ${JSON.stringify(model.type)}; BPE alone can be written`);
  if (tokenizer.bosIds.length > 1) throw refusal(source, "it puts several tokens in front of a text");
  const vocabulary: Vocabulary = new Map([
    ...(model.byte_fallback === true ? sentencePiece(source, model) : byteLevel(source, model)),
    ...specialIds(source),
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: tokenizer.bosIds.length === 1 }],
    ["tokenizer.ggml.add_eos_token", { type: "bool", value: false }],
  ]);
  checkIds(vocabulary, source);
  return vocabulary;
}

const refusal = ({ source }: VocabularySource, reason: string): ModelError =>
  new ModelError("tokenizer", `${source} cannot be written as a GGUF vocabulary: ${reason}. Export safetensors.`);

function byteLevel(source: VocabularySource, model: TokenizerPart): [string, GgufValue][] {
  const { json } = source;
  const pre = preTokenizerName(json.pre_tokenizer, json.normalizer, model.ignore_merges === true);
  if (pre === null) throw refusal(source, "GGUF has no name for the way it cuts text into words");
  const { tokens, types } = tokenTable(source, model);
  return [
    ["tokenizer.ggml.model", { type: "string", value: "gpt2" }],
    ["tokenizer.ggml.pre", { type: "string", value: pre }],
    ["tokenizer.ggml.tokens", { type: "string", value: tokens }],
    ["tokenizer.ggml.token_type", { type: "int32", value: types }],
    ["tokenizer.ggml.merges", { type: "string", value: mergesOf(model).map((pair) => pair.join(" ")) }],
  ];
}

/** Scores are the merges' ranks: the earliest merge is the best. */
function sentencePiece(source: VocabularySource, model: TokenizerPart): [string, GgufValue][] {
  const { tokens, types } = tokenTable(source, model);
  const merges = mergesOf(model);
  const ranks = new Map<string, number>();
  for (const [rank, [left, right]] of merges.entries()) {
    if (!ranks.has(left + right)) ranks.set(left + right, rank);
  }
  const cuts = JSON.stringify([source.json.normalizer, source.json.pre_tokenizer]);
  const hasPrefix = /"Prepend"/.test(cuts) || (/"Metaspace"/.test(cuts) && !/"prepend_scheme":"never"/.test(cuts));
  return [
    ["tokenizer.ggml.model", { type: "string", value: "llama" }],
    ["tokenizer.ggml.pre", { type: "string", value: "default" }],
    ["tokenizer.ggml.tokens", { type: "string", value: tokens }],
    ["tokenizer.ggml.token_type", { type: "int32", value: types }],
    ["tokenizer.ggml.scores", { type: "float32", value: tokens.map((token) => -(ranks.get(token) ?? merges.length)) }],
    ["tokenizer.ggml.add_space_prefix", { type: "bool", value: hasPrefix }],
  ];
}

const mergesOf = ({ merges }: TokenizerPart): (readonly [string, string])[] =>
  ((merges ?? []) as (string | [string, string])[]).map((merge) => {
    if (typeof merge !== "string") return merge;
    const at = merge.indexOf(" ", 1);
    return [merge.slice(0, at), merge.slice(at + 1)];
  });

/** Tokens by id, as many as the model has rows, and their llama_token_type. */
function tokenTable(source: VocabularySource, model: TokenizerPart): { tokens: string[]; types: number[] } {
  const { json, vocabSize } = source;
  const added = (json.added_tokens ?? []) as readonly Added[];
  const tokens = Array.from({ length: vocabSize }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(vocabSize).fill(tokenType.unused);
  const set = (token: string, id: number, type: number): void => {
    if (!(id < vocabSize)) throw refusal(source, `"${token}" has the id ${id}, but the model has ${vocabSize} rows`);
    tokens[id] = token;
    types[id] = type;
  };
  const isByte = (token: string): boolean => model.byte_fallback === true && /^<0x[0-9A-F]{2}>$/.test(token);
  for (const [token, id] of Object.entries(model.vocab as Record<string, number>)) {
    set(token, id, isByte(token) ? tokenType.byte : tokenType.normal);
  }
  for (const { id, content, special } of added) {
    set(content, id, special === false ? tokenType.userDefined : tokenType.control);
  }
  const unknown = typeof model.unk_token === "string" ? tokens.indexOf(model.unk_token) : -1;
  if (unknown >= 0) types[unknown] = tokenType.unknown;
  return { tokens, types };
}

/** Ids of the tokens that tokenizer_config.json names; the first token at least is known. */
function specialIds({ json, config, tokenizer }: VocabularySource): [string, GgufValue][] {
  const { vocab, unk_token } = json.model as { vocab: Record<string, number>; unk_token?: string | null };
  const ids = new Map(((json.added_tokens ?? []) as readonly Added[]).map(({ content, id }) => [content, id]));
  const names = { bos: "bos", eos: "eos", unk: "unknown", pad: "padding" };
  return Object.entries(names).flatMap(([key, name]): [string, GgufValue][] => {
    const content = tokenContent(config[`${key}_token`]) ?? (key === "unk" ? unk_token : null) ?? "";
    const named = ids.get(content) ?? (Object.hasOwn(vocab, content) ? vocab[content] : undefined);
    const value = key === "bos" ? (tokenizer.bosIds[0] ?? named) : named;
    return value === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, { type: "uint32", value }]];
  });
}

const hardTexts = [
  "",
  " a  b ",
  "don't I'LL",
  "\tif (x >= 10) {\r\n}",
  "naïve café № 1234",
  "你好 Москва 🙂",
  '("quoted.")',
];

function checkIds(vocabulary: Vocabulary, source: VocabularySource): void {
  const metadata = Object.fromEntries([...vocabulary].map(([key, { value }]) => [key, value]));
  const written = tokenizerFromGguf(metadata, source.source);
  for (const text of [...calibrationSentences, ...hardTexts]) {
    if (String(written.encode(text)) === String(source.tokenizer.encode(text))) continue;
    throw refusal(source, `${JSON.stringify(text)} would have other tokens`);
  }
}
