import type { GgufTokenizer } from "../text/gguf-tokenizer.ts";
import type { TokenizerPart } from "../text/pre-tokenizers.ts";

/** A GGUF vocabulary as a tokenizer.json that others read. */
export function completeTokenizerJson({ json, tables, bosIds }: GgufTokenizer): TokenizerPart {
  const vocab = Object.fromEntries(tables.tokens.map((token, id) => [token, id]));
  const model = { ...(json.model as TokenizerPart), vocab, merges: tables.merges };
  return { version: "1.0", ...json, post_processor: aroundText(bosIds, [], tables.tokens), model };
}

/** Puts tokens before and behind every text, which truncation leaves alone; null for none. */
export function aroundText(
  front: readonly number[],
  behind: readonly number[],
  tokens: readonly string[],
): TokenizerPart | null {
  if (front.length + behind.length === 0) return null;
  const special = (ids: readonly number[], type: number) =>
    ids.map((id) => ({ SpecialToken: { id: tokens[id], type_id: type } }));
  const sequence = (id: string, type: number) => ({ Sequence: { id, type_id: type } });
  return {
    type: "TemplateProcessing",
    single: [...special(front, 0), sequence("A", 0), ...special(behind, 0)],
    pair: [...special(front, 0), sequence("A", 0), sequence("B", 1), ...special(behind, 1)],
    special_tokens: Object.fromEntries(
      [...front, ...behind].map((id) => [tokens[id], { id: tokens[id], ids: [id], tokens: [tokens[id]] }]),
    ),
  };
}

/** Tokens of a tokenizer.json by id. */
export function tokensById(json: TokenizerPart): string[] {
  const tokens: string[] = [];
  const { vocab } = json.model as { readonly vocab: Readonly<Record<string, number>> };
  for (const [token, id] of Object.entries(vocab)) tokens[id] = token;
  const added = (json.added_tokens ?? []) as readonly { readonly id: number; readonly content: string }[];
  for (const { id, content } of added) tokens[id] = content;
  return tokens;
}
