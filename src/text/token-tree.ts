/** Token ids of one sequence, none empty. */
export interface TokenSequence {
  readonly ids: ArrayLike<number>;
  /** How many of its first tokens may stand for those of other sequences too; all but the last by default and at most. */
  readonly shareable?: number;
}

type Branches = Map<number, Branch>;
interface Branch {
  readonly token: number;
  readonly next: Branches;
}

/**
 * The sequences of one run, with beginnings that several have in common kept once: a token of a decoder sees only those in
 * front of it, so equal beginnings have equal states. A sequence's last token is its own.
 */
export class TokenTree {
  /** Id of every token that is computed. */
  readonly ids: number[] = [];
  /** Its position in each sequence that it belongs to. */
  readonly positions: number[] = [];
  /** For each sequence its tokens in order, as indexes into `ids`. */
  readonly paths: (readonly number[])[] = [];
  readonly #root: Branches = new Map();
  #longest = 0;

  /** Of sequences without anything said of them. */
  static of(sequences: readonly ArrayLike<number>[]): TokenTree {
    const tree = new TokenTree();
    for (const ids of sequences) tree.add({ ids });
    return tree;
  }

  /** Tokens of the longest sequence. */
  get longest(): number {
    return this.#longest;
  }

  /** Tokens that the sequence would add. */
  growth(sequence: TokenSequence): number {
    const limit = shareableOf(sequence);
    let branches: Branches | undefined = this.#root;
    for (let i = 0; i < limit; i++) {
      branches = branches.get(sequence.ids[i]!)?.next;
      if (!branches) return sequence.ids.length - i;
    }
    return sequence.ids.length - limit;
  }

  add(sequence: TokenSequence): void {
    const { ids } = sequence;
    const limit = shareableOf(sequence);
    const path = new Array<number>(ids.length);
    let branches = this.#root;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (i >= limit) {
        path[i] = this.#token(id, i);
        continue;
      }
      const known = branches.get(id);
      const branch = known ?? { token: this.#token(id, i), next: new Map() };
      if (!known) branches.set(id, branch);
      path[i] = branch.token;
      branches = branch.next;
    }
    this.paths.push(path);
    this.#longest = Math.max(this.#longest, ids.length);
  }

  #token(id: number, position: number): number {
    this.positions.push(position);
    return this.ids.push(id) - 1;
  }
}

/** How many of a sequence's first tokens may be others' too. */
export const shareableOf = ({ ids, shareable = ids.length }: TokenSequence): number =>
  Math.max(0, Math.min(shareable, ids.length - 1));
