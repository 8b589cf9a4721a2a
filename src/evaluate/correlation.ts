/**
 * Pearson's r: Σ (x − x̄)(y − ȳ) / √(Σ (x − x̄)² Σ (y − ȳ)²), in [-1, 1]. NaN where one side is constant or there are fewer
 * than two values, as scipy.stats.pearsonr has it.
 * @param weights  how often each pair counts, once by default
 */
export function pearson(x: ArrayLike<number>, y: ArrayLike<number>, weights?: ArrayLike<number>): number {
  const [xMean, yMean] = [weightedMean(x, weights), weightedMean(y, weights)];
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [dx, dy, weight] = [x[i]! - xMean, y[i]! - yMean, weights?.[i] ?? 1];
    xy += weight * dx * dy;
    xx += weight * dx * dx;
    yy += weight * dy * dy;
  }
  if (!(xx > 0 && yy > 0)) return Number.NaN;
  return Math.min(1, Math.max(-1, xy / (Math.sqrt(xx) * Math.sqrt(yy))));
}

/** Spearman's ρ: Pearson's r of the ranks, ties sharing their mean rank, as scipy.stats.spearmanr has it. */
export function spearman(x: ArrayLike<number>, y: ArrayLike<number>): number {
  return pearson(ranks(x), ranks(y));
}

/** Ranks from 1; equal values share the mean of theirs. */
export function ranks(values: ArrayLike<number>): Float64Array {
  return weightedRanks(values, ascending(values));
}

/** Indexes of values in ascending order. */
export function ascending(values: ArrayLike<number>): Uint32Array {
  return Uint32Array.from(values, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
}

/**
 * Ranks of a sample in which value i occurs `weights[i]` times; with the order given this is linear, which makes a
 * bootstrap cheap.
 * @param order  `ascending(values)`
 */
export function weightedRanks(
  values: ArrayLike<number>,
  order: ArrayLike<number>,
  weights?: ArrayLike<number>,
): Float64Array {
  const result = new Float64Array(values.length);
  let below = 0;
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    let tied = 0;
    for (let i = start; i < end; i++) tied += weights?.[order[i]!] ?? 1;
    for (let i = start; i < end; i++) result[order[i]!] = below + (tied + 1) / 2;
    below += tied;
    start = end;
  }
  return result;
}

export function weightedMean(values: ArrayLike<number>, weights?: ArrayLike<number>): number {
  let [sum, total] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const weight = weights?.[i] ?? 1;
    sum += weight * values[i]!;
    total += weight;
  }
  return sum / total;
}
