import type { TokenizerPart } from "../text/pre-tokenizers.ts";
import type { PromptParts } from "../text/prompt-parts.ts";
import type { CleanUpStep } from "../text/recipe.ts";

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
 * A tokenizer.json that cleans a text up and puts the template around it by itself, as text, so that words join the
 * template's quotes as they do here and every id is ours. A loader needs no code of ours. It cannot know which end to cut: a
 * text over the model's length loses the template's end.
 */
export function templatedTokenizer(
  json: TokenizerPart,
  parts: PromptParts,
  cleanUp: readonly CleanUpStep[],
): TokenizerPart {
  const normalizers = [
    ...cleanUp.map((step) => cleanUpNormalizers[step]),
    { type: "Prepend", prepend: parts.prefix },
    replace({ Regex: "\\z" }, parts.suffix),
    ...(json.normalizer ? [json.normalizer] : []),
  ];
  return { ...json, normalizer: { type: "Sequence", normalizers } };
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
    "sentence_bert_config.json": { max_seq_length: maxTokens, do_lower_case: false },
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
