import * as library from "@huggingface/tokenizers";

/*
 * What we use of @huggingface/tokenizers, with types: its own declarations import each other without extensions, so
 * that they come to nothing under module resolution NodeNext. The one importer of the package.
 */

/** Words to tokens by merging; the tables are filled or replaced by us. */
export interface BpeModel {
  config: Readonly<Record<string, unknown>>;
  /** Token by id. */
  vocab: string[];
  tokens_to_ids: Map<string, number>;
  /** Rank of a merge by the JSON of its pair. */
  bpe_ranks: Map<string, number>;
  unk_token?: string | null | undefined;
  unk_token_id?: number | undefined;
  encode(words: string[]): string[];
  /** Puts a node into the queue if it merges with the next one; its score is the order. */
  add_node(queue: MergeQueue, node: MergeNode): void;
}

/** A piece of a word while it is merged. */
export interface MergeNode {
  readonly token: string;
  readonly bias: number;
  readonly next: MergeNode | null;
  score?: number;
}

export interface MergeQueue {
  push(node: MergeNode): void;
}

interface ByteSpelling {
  pre_tokenize_text(text: string): string[];
}

/** Normalizer, pre-tokenizer, model, post-processor and decoder of a tokenizer.json. */
export interface Pipeline {
  model: BpeModel;
  encode(text: string, options?: { add_special_tokens?: boolean }): { ids: number[] };
  decode(ids: number[], options?: { clean_up_tokenization_spaces?: boolean }): string;
  token_to_id(token: string): number | undefined;
}

interface Library {
  readonly BPE: new (config: object) => BpeModel;
  readonly ByteLevelPreTokenizer: new (config: object) => ByteSpelling;
  readonly Tokenizer: new (json: object, config: object) => Pipeline;
}

export const { BPE, ByteLevelPreTokenizer, Tokenizer: Pipeline } = library as unknown as Library;
