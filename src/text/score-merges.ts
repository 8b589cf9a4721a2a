/**
 * The merges that a SentencePiece BPE vocabulary stands for: every way to make a token of two others, best score first.
 * Ties go as in transformers' `generate_merges` (tokenization_utils_base.py): the longer left part, then the longer
 * right part, then the lower ids.
 * @param scores   one for each token
 * @param isPiece  whether a token may come out of a merge: not for control, unknown and byte tokens
 */
export function mergesByScore(
  tokens: readonly string[],
  scores: readonly number[],
  isPiece: (id: number) => boolean,
): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const merges = tokens.flatMap((token, id) => (isPiece(id) ? splits(token, scores[id]!, ids) : []));
  merges.sort((a, b) => b.score - a.score || b.leftLength - a.leftLength || b.rightLength - a.rightLength);
  return merges.map(({ left, right }) => [left, right]);
}

interface Merge {
  readonly left: string;
  readonly right: string;
  readonly score: number;
  /** In code points, as Python counts. */
  readonly leftLength: number;
  readonly rightLength: number;
}

function splits(token: string, score: number, ids: ReadonlyMap<string, number>): Merge[] {
  const length = codePoints(token);
  const found: Merge[] = [];
  let leftLength = 0;
  let cut = 0;
  for (const character of token) {
    cut += character.length;
    leftLength++;
    const [left, right] = [token.slice(0, cut), token.slice(cut)];
    if (ids.has(left) && ids.has(right)) {
      found.push({ left, right, score, leftLength, rightLength: length - leftLength });
    }
  }
  return found.sort((a, b) => ids.get(a.left)! - ids.get(b.left)! || ids.get(a.right)! - ids.get(b.right)!);
}

function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
