/** One round of successive halving: candidates that are in it are scored on so many items, and so many go on. */
export interface Round {
  readonly items: number;
  /** Candidates that the next round takes. */
  readonly survivors: number;
}

/** Items of the rounds: enough for a first rough order, then three times as many each. */
const roundItems = [25, 75, 225, 600, Number.POSITIVE_INFINITY];
/** Part that goes on: 300 candidates become 75, 24, 8, 3. */
const kept = [1 / 4, 8 / 25, 1 / 3, 3 / 8];

/**
 * Rounds for so many candidates over so many items. For 300 and 1,500 it is 300 × 25 + 75 × 50 + 24 × 150 + 8 × 375 + 3 ×
 * 900 items, a twenty-second of 300 × 1,500, since a survivor's earlier items are not run again.
 * @see successive halving, arXiv 1502.07943
 */
export function planRounds(candidates: number, items: number): Round[] {
  const rounds: Round[] = [];
  let count = candidates;
  for (const [i, wanted] of roundItems.entries()) {
    const isLast = wanted >= items || i === roundItems.length - 1;
    const survivors = isLast ? 1 : Math.max(1, Math.round(count * kept[i]!));
    rounds.push({ items: Math.min(wanted, items), survivors });
    if (isLast) break;
    count = Math.max(survivors, Math.min(3, count)); // the last round always has a few to choose from
    rounds[i] = { ...rounds[i]!, survivors: count };
  }
  return rounds;
}

export interface Scored<T> {
  readonly candidate: T;
  readonly score: number;
  /** Items of the round it came to. */
  readonly items: number;
}

/**
 * Runs the rounds.
 * @param score  quality of a candidate on the first `items` items
 * @param stop   asked before each; once true, what is known so far is the result
 * @returns the candidates by how far they came and then by score, the best first
 */
export async function halve<T>(
  candidates: readonly T[],
  rounds: readonly Round[],
  score: (candidate: T, items: number) => Promise<number>,
  stop: () => boolean = () => false,
): Promise<Scored<T>[]> {
  let alive: readonly T[] = candidates;
  const results = new Map<T, Scored<T>>();
  for (const { items, survivors } of rounds) {
    const round: Scored<T>[] = [];
    for (const candidate of alive) {
      if (stop()) return ranked(results);
      const result = { candidate, score: await score(candidate, items), items };
      round.push(result);
    }
    for (const result of round) results.set(result.candidate, result); // a round that was cut short would favour its first
    alive = round
      .toSorted((a, b) => b.score - a.score)
      .slice(0, survivors)
      .map(({ candidate }) => candidate);
  }
  return ranked(results);
}

const ranked = <T>(results: ReadonlyMap<T, Scored<T>>): Scored<T>[] =>
  [...results.values()].sort((a, b) => b.items - a.items || b.score - a.score);
