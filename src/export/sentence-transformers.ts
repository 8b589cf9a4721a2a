import type { TokenizerPart } from "../text/pre-tokenizers.ts";
import type { PromptParts } from "../text/prompt-parts.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/**
 * A tokenizer.json that puts the template around every text by itself: prefix and suffix as ids of its post-processor, and
 * double quotes to single ones in front of everything. So a loader needs no code of ours, and truncation keeps the suffix.
 * Where a word joins the template's quote the ids differ from ours; see docs/training.md.
 */
export function templatedTokenizer(json: TokenizerPart, tokenizer: Tokenizer, parts: PromptParts): TokenizerPart {
  const [prefix, suffix] = [tokenizer.encode(parts.prefix), tokenizer.encode(parts.suffix)];
  const plainSuffix = suffix.slice(tokenizer.bosIds.length);
  const piece = (id: string, ids: readonly number[]) => ({
    id,
    ids,
    tokens: ids.map((one) => tokenizer.decode([one])),
  });
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const single = [special("prefix"), { Sequence: { id: "A", type_id: 0 } }, special("suffix")];
  const quotes = { type: "Replace", pattern: { String: '"' }, content: "'" };
  return {
    ...json,
    normalizer: json.normalizer ? { type: "Sequence", normalizers: [quotes, json.normalizer] } : quotes,
    post_processor: {
      type: "TemplateProcessing",
      single,
      pair: [...single, { Sequence: { id: "B", type_id: 1 } }],
      special_tokens: { prefix: piece("prefix", prefix), suffix: piece("suffix", plainSuffix) },
    },
  };
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
