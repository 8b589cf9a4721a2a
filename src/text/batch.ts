export interface BatchOptions {
  /** Most tokens of one batch. A longer sequence is a batch of its own. */
  readonly maxBatchTokens: number;
}

/**
 * Groups sequences for running together: the longest first, so that a batch holds similar lengths and the largest
 * buffers are made once. The grid of attention, rows × the longest, is bounded by the same number.
 * @returns indexes into `lengths`, each exactly once
 */
export function planBatches(lengths: ArrayLike<number>, { maxBatchTokens }: BatchOptions): number[][] {
  const order = Array.from(lengths, (_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const batches: number[][] = [];
  let batch: number[] = [];
  for (const index of order) {
    const longest = lengths[batch[0] ?? index]!;
    if (batch.length > 0 && longest * (batch.length + 1) > maxBatchTokens) {
      batches.push(batch);
      batch = [];
    }
    batch.push(index);
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

/** Equal keys once: `unique` holds the first index of each, `of` the place in `unique` of every key. */
export function uniqueIndex(keys: readonly string[]): { readonly unique: number[]; readonly of: number[] } {
  const place = new Map<string, number>();
  const unique: number[] = [];
  const of = keys.map((key, i) => {
    const known = place.get(key);
    if (known !== undefined) return known;
    place.set(key, unique.length);
    return unique.push(i) - 1;
  });
  return { unique, of };
}
