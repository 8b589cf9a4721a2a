import { ranks } from "./correlation.ts";
import type { ScoredSubset, SentencePair } from "./sts.ts";

export interface WorstPair extends SentencePair {
  readonly subset: string;
  /** Place of the pair within its subset, from 0. */
  readonly index: number;
  readonly cosine: number;
  /** Share of the set's pairs below this one by score and by cosine, 0 to 1. */
  readonly scoreRank: number;
  readonly cosineRank: number;
}

/** The pairs of a set that cost its correlation most: their rank by cosine is farthest from their rank by score. */
export function worstPairs(subsets: readonly ScoredSubset[], count = 20): WorstPair[] {
  const pairs = subsets.flatMap(({ name, pairs, cosines }) =>
    pairs.map((pair, index) => ({ ...pair, subset: name, index, cosine: cosines[index]! })),
  );
  const [byScore, byCosine] = [ranks(pairs.map(({ score }) => score)), ranks(pairs.map(({ cosine }) => cosine))];
  const share = (rank: number): number => (rank - 0.5) / pairs.length;
  const ranked = pairs.map((pair, i) => ({ ...pair, scoreRank: share(byScore[i]!), cosineRank: share(byCosine[i]!) }));
  const distance = ({ scoreRank, cosineRank }: WorstPair): number => Math.abs(scoreRank - cosineRank);
  return ranked.sort((a, b) => distance(b) - distance(a)).slice(0, count);
}
