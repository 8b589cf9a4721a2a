import { BPE, type BpeModel, ByteLevelPreTokenizer, type MergeNode, type MergeQueue } from "./tokenizers-library.ts";

/** What a BPE model is made of. */
export interface BpeTables {
  /** Token by id. */
  readonly tokens: readonly string[];
  readonly merges: Merges;
}

/** In order of rank; `"a b"` or `["a", "b"]`. */
export type Merges = readonly (string | readonly [string, string])[];

const maxWords = 50_000;
const maxWordLength = 64; // longer words are rarely met twice

/**
 * The library's BPE with two tables of its own. Words that were met before cost one look-up: the library's cache comes
 * only after the text is spelt in bytes, and renews an entry's age at every use. Ranks are found by `left right` instead
 * of by the pair's JSON, which takes most of the time to build and to merge.
 */
export class FastBpe extends BPE {
  readonly #ranks: ReadonlyMap<string, number> | null;
  readonly #words = new Map<string, string[]>();
  readonly #spellsBytes: boolean;
  readonly #cutsAtMarks: boolean;

  /**
   * @param ranks        null: those of `model`
   * @param spellsBytes  words come as text and are to be spelt in GPT-2's byte alphabet first
   */
  constructor(model: BpeModel, ranks: ReadonlyMap<string, number> | null, spellsBytes: boolean) {
    super({ ...model.config, vocab: {}, merges: [] });
    this.tokens_to_ids = model.tokens_to_ids;
    this.vocab = model.vocab;
    this.bpe_ranks = model.bpe_ranks;
    this.unk_token_id = model.unk_token_id;
    this.#ranks = ranks;
    this.#spellsBytes = spellsBytes;
    this.#cutsAtMarks = !spellsBytes && !model.vocab.some((token) => /[^▁]▁/u.test(token));
  }

  override encode(words: string[]): string[] {
    const parts = this.#cutsAtMarks ? words.flatMap(markedWords) : words;
    return parts.flatMap((word) => this.#words.get(word) ?? this.#encodeWord(word));
  }

  #encodeWord(word: string): string[] {
    const tokens = super.encode(this.#spellsBytes ? byteLevel.pre_tokenize_text(word) : [word]);
    if (word.length > maxWordLength) return tokens;
    if (this.#words.size >= maxWords) this.#words.clear();
    this.#words.set(word, tokens);
    return tokens;
  }

  override add_node(queue: MergeQueue, node: MergeNode): void {
    if (!this.#ranks) {
      super.add_node(queue, node);
      return;
    }
    const rank = this.#ranks.get(`${node.token} ${node.next!.token}`);
    if (rank === undefined) return;
    node.score = rank + node.bias; // the bias orders equal merges from left to right
    queue.push(node);
  }
}

const byteLevel = new ByteLevelPreTokenizer({ add_prefix_space: false, use_regex: false });

/**
 * SentencePiece has no words: a whole prompt is one. Where no token has a space mark behind another character, as in
 * LLaMA's vocabulary, nothing merges across the beginning of a marked word, and its words can be taken one by one.
 */
const markedWords = (text: string): string[] => text.match(/▁*[^▁]+|▁+/gu) ?? [];

/** Rank by `left right`; null where a token with a space of its own would make that ambiguous. */
export function rankTable(merges: Merges): ReadonlyMap<string, number> | null {
  const ranks = new Map<string, number>();
  for (const [rank, merge] of merges.entries()) {
    const key = typeof merge === "string" ? merge : merge.join(" ");
    const space = key.indexOf(" ");
    if (space <= 0 || space !== key.lastIndexOf(" ")) return null;
    ranks.set(key, rank);
  }
  return ranks;
}

/** Fills in the tokens of a model that was made with none. */
export function fillTokens(model: BpeModel, tokens: readonly string[]): void {
  tokens.forEach((token, id) => {
    model.tokens_to_ids.set(token, id);
  });
  model.vocab = tokens.slice();
  model.unk_token_id = model.tokens_to_ids.get(model.unk_token ?? "");
}
