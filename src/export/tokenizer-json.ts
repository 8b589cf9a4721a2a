import type { GgufTokenizer } from "../text/gguf-tokenizer.ts";
import type { TokenizerPart } from "../text/pre-tokenizers.ts";

/** A GGUF vocabulary as a tokenizer.json that others read. */
export function completeTokenizerJson({ json, tables, bosIds }: GgufTokenizer): TokenizerPart {
  const vocab = Object.fromEntries(tables.tokens.map((token, id) => [token, id]));
  const model = { ...(json.model as TokenizerPart), vocab, merges: tables.merges };
  return { version: "1.0", ...json, post_processor: inFront(bosIds, tables.tokens), model };
}

/** The model's own first tokens, as a template. */
function inFront(ids: readonly number[], tokens: readonly string[]): TokenizerPart | null {
  if (ids.length === 0) return null;
  const special = ids.map((id) => ({ SpecialToken: { id: tokens[id], type_id: 0 } }));
  const sequence = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  return {
    type: "TemplateProcessing",
    single: [...special, sequence("A", 0)],
    pair: [...special, sequence("A", 0), sequence("B", 1)],
    special_tokens: Object.fromEntries(
      ids.map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]),
    ),
  };
}
