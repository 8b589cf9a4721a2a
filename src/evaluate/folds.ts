import { RandomState } from "./random-state.ts";

export interface Fold {
  /** Rows, ascending. */
  readonly train: Int32Array;
  readonly test: Int32Array;
}

/**
 * Splits rows into folds in which every class has its share: scikit-learn's
 * `StratifiedKFold(n_splits=foldCount, shuffle=True, random_state=seed)`, fold by fold the same.
 * @param labels  class of each row
 */
export function stratifiedFolds(labels: ArrayLike<number>, foldCount: number, seed: number): Fold[] {
  const random = new RandomState(seed);
  const order = [...new Set(Array.from(labels))]; // classes by first occurrence, which is how they are shuffled
  const codes = Int32Array.from(labels, (label) => order.indexOf(label));
  const sorted = codes.toSorted();
  const foldOf = new Int32Array(codes.length);
  for (const code of order.keys()) {
    const shares = Int32Array.from({ length: foldCount }, (_, fold) => share(sorted, code, fold, foldCount));
    const folds = random.shuffle(Int32Array.from(Array.from(shares, (count, fold) => Array(count).fill(fold)).flat()));
    let next = 0;
    for (let row = 0; row < codes.length; row++) if (codes[row] === code) foldOf[row] = folds[next++]!;
  }
  const rows = Int32Array.from(codes, (_, row) => row);
  return Array.from({ length: foldCount }, (_, fold) => ({
    train: rows.filter((row) => foldOf[row] !== fold),
    test: rows.filter((row) => foldOf[row] === fold),
  }));
}

/** How many rows of a class a fold gets: those at its places when sorted rows are dealt out in turn. */
function share(sorted: Int32Array, code: number, fold: number, foldCount: number): number {
  let count = 0;
  for (let i = fold; i < sorted.length; i += foldCount) if (sorted[i] === code) count++;
  return count;
}
