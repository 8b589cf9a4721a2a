import type { TokenizerPart } from "../text/pre-tokenizers.ts";
import type { PromptParts } from "../text/prompt-parts.ts";
import type { CleanUpStep } from "../text/recipe.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { aroundText, tokensById } from "./tokenizer-json.ts";

const replace = (pattern: { String: string } | { Regex: string }, content: string) => ({
  type: "Replace",
  pattern,
  content,
});

/** The clean-up steps as normalizers of the tokenizers library (Oniguruma expressions); see text/clean-up.ts. */
const cleanUpNormalizers: Readonly<Record<CleanUpStep, TokenizerPart>> = {
  trim: { type: "Strip", strip_left: true, strip_right: true },
  fullStop: replace({ Regex: "(?<![.?\"'])\\z" }, "."),
  singleQuotes: replace({ String: '"' }, "'"),
  questionToFullStop: replace({ Regex: "\\?\\z" }, "."),
};

/**
 * A tokenizer.json that cleans a text up and puts the template around it by itself. The beginning, and of the end what may grow
 * together with the text (its quotation mark), are text, so that every id is ours; the rest of the end are tokens that come behind,
 * for which truncation leaves room. A loader needs no code of ours.
 */
export function templatedTokenizer(
  json: TokenizerPart,
  tokenizer: Tokenizer,
  parts: PromptParts,
  cleanUp: readonly CleanUpStep[],
): TokenizerPart {
  const { text, ids } = splitSuffix(tokenizer, parts);
  const normalizers = [
    ...cleanUp.map((step) => cleanUpNormalizers[step]),
    ...(parts.prefix === "" ? [] : [{ type: "Prepend", prepend: parts.prefix }]),
    ...(text === "" ? [] : [replace({ Regex: "\\z" }, text)]),
    ...(json.normalizer ? [json.normalizer] : []),
  ];
  const post_processor = aroundText(tokenizer.bosIds, ids, tokensById(json));
  return { ...json, truncation: null, padding: null, normalizer: { type: "Sequence", normalizers }, post_processor };
}

/** Texts whose ends grow together with a template in different ways. */
const ends = ["a", "a.", "a?", "a!'", "a)", "a…", "a,", "1", "é", "的", "🙂", "", " ", "a "];

/**
 * The end of a template as text, as short as may be, and the tokens of what follows it, which are the same behind every text. A
 * word of its own begins at a white space.
 */
function splitSuffix(tokenizer: Tokenizer, { prefix, suffix }: PromptParts) {
  const texts = ends.map((end) => prefix + end);
  for (const { index: start } of suffix.matchAll(/(?<=\S|^)\s/g)) {
    const text = suffix.slice(0, start);
    const ids = tokenizer.encode(texts[0]! + suffix).slice(tokenizer.encode(texts[0]! + text).length);
    const isApart = (whole: string): boolean =>
      String(tokenizer.encode(whole + suffix)) === String([...tokenizer.encode(whole + text), ...ids]);
    if (texts.every(isApart)) return { text, ids };
  }
  return { text: suffix, ids: [] };
}

/** The files that make a folder a SentenceTransformer, in the form that its old and new versions and TEI read. */
export function sentenceTransformersFiles(hiddenSize: number, maxTokens: number): Record<string, unknown> {
  const modes = ["cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens"];
  const module = (idx: number, path: string, kind: string) => ({
    idx,
    name: String(idx),
    path,
    type: `sentence_transformers.models.${kind}`,
  });
  return {
    "modules.json": [
      module(0, "", "Transformer"),
      module(1, "1_Pooling", "Pooling"),
      module(2, "2_Normalize", "Normalize"),
    ],
    // Of some model types (qwen2) transformers builds the tokenizer's beginning by itself, without the template, unless it is told
    // of one that takes tokenizer.json as it is, which glm's has been in its versions 4 and 5.
    "sentence_bert_config.json": {
      max_seq_length: maxTokens,
      do_lower_case: false,
      tokenizer_args: { tokenizer_type: "glm" },
    },
    "config_sentence_transformers.json": {
      model_type: "SentenceTransformer",
      prompts: {},
      default_prompt_name: null,
      similarity_fn_name: "cosine",
    },
    "1_Pooling/config.json": {
      word_embedding_dimension: hiddenSize,
      ...Object.fromEntries(modes.map((mode) => [`pooling_mode_${mode}`, false])),
      pooling_mode_lasttoken: true,
      include_prompt: true,
    },
  };
}
