import { basename } from "node:path";
import { ModelError } from "../errors.ts";
import { isJsonObject, readJsonObject } from "../files/json.ts";
import { type BpeTables, FastBpe, fillTokens, type Merges, rankTable } from "./fast-bpe.ts";
import { ggufTokenizer } from "./gguf-tokenizer.ts";
import { checkForms, checkPatterns, exactPreTokenizer, flattenParts, type TokenizerPart } from "./pre-tokenizers.ts";
import { shown } from "./shown.ts";
import { Pipeline } from "./tokenizers-library.ts";
import { checkTokenId, readVocabularyFiles, tokenContent } from "./vocabulary-files.ts";

/** Text to token ids, as the model was trained on them. */
export interface Tokenizer {
  /**
   * Ids with the model's own token in front (LLaMA `<s>`, OPT `</s>`, SmolLM2 none) and none behind. Text that spells a
   * special token becomes that token, as in transformers.
   */
  encode(text: string): number[];
  /** The text of ids, special tokens included, spaces as they are. */
  decode(ids: readonly number[]): string;
  /** Ids put in front of every text. */
  readonly bosIds: readonly number[];
  /** One more than the highest id. The model's own vocabulary may be padded to more. */
  readonly vocabSize: number;
}

/**
 * Reads tokenizer.json, or vocab.json with merges.txt beside it, and what tokenizer_config.json says about the token in
 * front.
 * @throws ModelError "tokenizer" for files that are no tokenizer, or one with a prompt of its own
 */
export async function loadTokenizer(file: string, configFile?: string): Promise<Tokenizer> {
  const config = configFile ? await readTokenizerJson(configFile) : {};
  const json = await readTokenizerJson(file);
  checkHasNoPrompt(json, file);
  try {
    if (basename(file) !== "vocab.json") return createTokenizer({ json, config });
    return createTokenizer({ ...(await readVocabularyFiles(file, json, config)), config });
  } catch (error) {
    throw damaged(file, error);
  }
}

/** A prompt of the tokenizer's own, as exports for sentence-transformers have it, would stand around every template. */
function checkHasNoPrompt({ normalizer }: TokenizerPart, file: string): void {
  const parts = flattenParts(normalizer);
  const prompt =
    parts.find(({ type, prepend }) => type === "Prepend" && !isSpaceMark(prepend)) ?? parts.find(isAtTheEnd);
  if (!prompt) return;
  const what = `puts ${shown(prompt.prepend ?? prompt.content)} around every text: the model was exported for sentence-transformers`;
  throw new ModelError(
    "tokenizer",
    `${file}: ${what}. Export it as safetensors, which leaves the prompt to the recipe.`,
  );
}

function isAtTheEnd({ type, pattern }: TokenizerPart): boolean {
  const { Regex: expression } = (pattern ?? {}) as TokenizerPart;
  return type === "Replace" && typeof expression === "string" && expression.endsWith("\\z");
}

const isSpaceMark = (text: unknown): boolean => typeof text === "string" && /^[\s\u2581]*$/.test(text);

/** Builds the tokenizer from a GGUF file's metadata. @throws ModelError "tokenizer" for a vocabulary we do not know */
export function tokenizerFromGguf(metadata: TokenizerPart, source: string): Tokenizer {
  const parts = ggufTokenizer(metadata, source);
  try {
    return createTokenizer({ ...parts, config: {} });
  } catch (error) {
    throw damaged(source, error);
  }
}

/** A tokenizer.json or tokenizer_config.json. */
export const readTokenizerJson = (file: string): Promise<TokenizerPart> =>
  readJsonObject(file, (what) => damaged(file, what));

function damaged(file: string, cause: unknown): ModelError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new ModelError(
    "tokenizer",
    `${file}: no tokenizer can be made of it: ${reason}. Download the model again, or use another one.`,
    { cause },
  );
}

interface TokenizerSource {
  readonly json: TokenizerPart;
  /** tokenizer_config.json */
  readonly config: TokenizerPart;
  /** For a `json` whose BPE model is empty. */
  readonly tables?: BpeTables;
  /** Known without the json's post-processor and config. */
  readonly bosIds?: readonly number[];
}

function createTokenizer({ json, config, tables, bosIds }: TokenizerSource): Tokenizer {
  const pipeline = createPipeline(json, config, tables);
  const plain = (text: string): number[] => pipeline.encode(text, { add_special_tokens: false }).ids;
  const front = bosIds ?? frontIds(pipeline, plain, config);
  const vocabSize = pipeline.model.vocab.length;
  checkIds([...front, ...plain("This sentence"), ...plain("\u0000")], vocabSize);
  return {
    bosIds: front,
    vocabSize,
    encode: (text) => (front.length > 0 ? [...front, ...plain(text)] : plain(text)),
    decode: (ids) => (ids.length === 0 ? "" : pipeline.decode([...ids], { clean_up_tokenization_spaces: false })),
  };
}

/** The library's pipeline with exact cuts and, for BPE, our tables. */
function createPipeline(json: TokenizerPart, config: TokenizerPart, tables: BpeTables | undefined): Pipeline {
  for (const part of [json.normalizer, json.pre_tokenizer, json.decoder]) checkPatterns(part);
  checkForms(json);
  checkPrefixSpace(json, config);
  const cuts = exactPreTokenizer(json.pre_tokenizer);
  const model = isJsonObject(json.model) ? json.model : {};
  if (model.type !== "BPE") return new Pipeline({ ...json, pre_tokenizer: preTokenizerOf(cuts) }, config);
  const spellsBytes = isByteSpelling(cuts.at(-1));
  const words = preTokenizerOf(spellsBytes ? cuts.slice(0, -1) : cuts);
  const ranks = rankTable(tables?.merges ?? (model.merges as Merges));
  const merges = ranks ? [] : (tables?.merges ?? model.merges);
  const pipeline = new Pipeline({ ...json, pre_tokenizer: words, model: { ...model, merges } }, config);
  if (tables) fillTokens(pipeline.model, tables.tokens);
  else for (const [token, id] of pipeline.model.tokens_to_ids) checkTokenId(token, id);
  pipeline.model = new FastBpe(pipeline.model, ranks, spellsBytes);
  return pipeline;
}

/** GPT-2's class goes by its config, and by which one depends on the version of transformers. */
function checkPrefixSpace({ pre_tokenizer: cuts }: TokenizerPart, config: TokenizerPart): void {
  const { tokenizer_class: kind, add_prefix_space: asked } = config;
  const isGpt2 = typeof kind === "string" && /^GPT2Tokenizer/.test(kind);
  if (!isGpt2 && !(kind === undefined && asked === true)) return;
  const other = flattenParts(cuts).find(
    ({ type, add_prefix_space: own }) => type === "ByteLevel" && (own === true) !== (asked === true),
  );
  if (other)
    throw new Error("its tokenizer.json and its config differ in add_prefix_space, a space in front of every text");
}

const isByteSpelling = (part: TokenizerPart | undefined): boolean =>
  part?.type === "ByteLevel" && part.use_regex === false && part.add_prefix_space !== true;

const preTokenizerOf = (parts: readonly TokenizerPart[]): TokenizerPart | null =>
  parts.length === 0 ? null : { type: "Sequence", pretokenizers: parts };

function checkIds(ids: readonly unknown[], vocabSize: number): void {
  if (ids.every((id) => Number.isInteger(id) && (id as number) >= 0 && (id as number) < vocabSize)) return;
  throw new Error("its vocabulary does not give every token an id");
}

/** What the tokenizer's post-processor puts in front, or else the config's bos_token where it says add_bos_token. */
function frontIds(pipeline: Pipeline, plain: (text: string) => number[], config: TokenizerPart): readonly number[] {
  const isLlama = typeof config.tokenizer_class === "string" && /^(Code)?Llama/.test(config.tokenizer_class);
  if (isLlama && config.add_bos_token === false) return [];
  const word = plain("a");
  const processed = pipeline.encode("a").ids;
  const start = processed.findIndex((_, i) => word.every((id, j) => processed[i + j] === id));
  if (start > 0) return processed.slice(0, start);
  if (config.add_bos_token !== true) return [];
  const bos = tokenContent(config.bos_token);
  const id = bos === undefined ? undefined : pipeline.token_to_id(bos);
  if (id !== undefined) return [id];
  throw new Error(`its config asks for the bos_token ${JSON.stringify(config.bos_token)}, which it does not have`);
}
