/** Most tokens of one run: bigger gains nothing on the machines measured, smaller wastes threads (docs/design.md). */
export const defaultBatchTokens = 1024;

export interface BatchOptions {
  /** Most tokens of one batch. A longer sequence is a batch of its own. */
  readonly maxBatchTokens: number;
}

/**
 * Groups sequences for running together, the longest first, so that a batch holds similar lengths and the largest
 * buffers are made once. The graph runs the tokens without padding, so their sum is what counts; attention pads to rows ×
 * the longest, which is kept below twice the budget.
 * @param lengths  tokens of each sequence
 * @returns indexes into `lengths`, each exactly once; the same for the same lengths
 */
export function planBatches(lengths: ArrayLike<number>, { maxBatchTokens }: BatchOptions): number[][] {
  const order = Array.from(lengths, (_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const batches: number[][] = [];
  let batch: number[] = [];
  let [tokens, longest] = [0, 0];
  for (const index of order) {
    const length = lengths[index]!;
    const fits = tokens + length <= maxBatchTokens && longest * (batch.length + 1) <= 2 * maxBatchTokens;
    if (batch.length === 0 || !fits) {
      batch = [];
      batches.push(batch);
      [tokens, longest] = [0, length];
    }
    batch.push(index);
    tokens += length;
  }
  return batches;
}

/** Equal keys once: `unique` holds the first index of each, `of` the place in `unique` of every key. */
export function uniqueIndex(keys: readonly string[]): { readonly unique: number[]; readonly of: number[] } {
  const places = new Map<string, number>();
  const unique: number[] = [];
  const of = keys.map((key, i) => {
    const place = places.get(key) ?? unique.push(i) - 1;
    places.set(key, place);
    return place;
  });
  return { unique, of };
}
