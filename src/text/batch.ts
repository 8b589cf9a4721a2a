import { InputError, stoppedByCaller } from "../errors.ts";
import { shareableOf, type TokenSequence, TokenTree } from "./token-tree.ts";

/** Most tokens of one run: bigger gains nothing on the machines measured, smaller wastes threads (docs/design.md). */
export const defaultBatchTokens = 1024;

export interface BatchOptions {
  /** Most tokens that one batch computes. A longer sequence is a batch of its own. */
  readonly maxBatchTokens: number;
  /** First tokens that all sequences have in common, which attention's queries hold once; 0 by default. */
  readonly prefixTokens?: number | undefined;
}

/** Sequences to be run together. */
export interface TokenBatch {
  /** Which of the sequences that were planned, in the order of the tree's paths. */
  readonly indexes: readonly number[];
  readonly tree: TokenTree;
}

/** Lengths within so many tokens count as equal: attention pads a little more, and more beginnings meet. */
const lengthStep = 4;

/**
 * Groups sequences for running together, the longest first, so that a batch holds similar lengths and the largest
 * buffers are made once; among similar lengths those that begin alike, so that their beginnings are computed once. The
 * graph runs the tokens without padding, so their number is what counts; attention's queries pad to rows × the longest, which
 * is kept below twice the budget.
 * @yields each sequence in exactly one batch; the same for the same sequences. One tree is held at a time
 */
export function* planBatches(
  sequences: readonly TokenSequence[],
  options: BatchOptions,
): Generator<TokenBatch, void, undefined> {
  let [indexes, tree] = [[] as number[], new TokenTree()];
  for (const index of planOrder(sequences)) {
    const sequence = sequences[index]!;
    if (indexes.length > 0 && !fits(tree, sequence, options)) {
      yield { indexes, tree };
      [indexes, tree] = [[], new TokenTree()];
    }
    indexes.push(index);
    tree.add(sequence);
  }
  if (indexes.length > 0) yield { indexes, tree };
}

/**
 * Runs sequences in batches.
 * @param run  gives one result for each sequence of a batch
 * @returns results in the order of `sequences`
 * @throws InputError "aborted" between two batches when the signal says so
 */
export async function runBatches<T>(
  sequences: readonly TokenSequence[],
  { signal, ...options }: BatchOptions & { readonly signal?: AbortSignal | undefined },
  run: (batch: TokenBatch) => Promise<readonly T[]>,
): Promise<T[]> {
  const results = new Array<T>(sequences.length);
  for (const batch of planBatches(sequences, options)) {
    stopIfAborted(signal);
    const rows = await run(batch);
    for (const [row, index] of batch.indexes.entries()) results[index] = rows[row]!;
  }
  return results;
}

/** @throws InputError "aborted" when the signal says so */
export function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new InputError("aborted", stoppedByCaller, { cause: signal.reason });
}

function fits(tree: TokenTree, sequence: TokenSequence, { maxBatchTokens, prefixTokens = 0 }: BatchOptions): boolean {
  const cells = (Math.max(tree.longest, sequence.ids.length) - prefixTokens) * (tree.paths.length + 1);
  return cells <= 2 * maxBatchTokens && tree.ids.length + tree.growth(sequence) <= maxBatchTokens;
}

function planOrder(sequences: readonly TokenSequence[]): number[] {
  const step = ({ ids }: TokenSequence): number => Math.ceil(ids.length / lengthStep);
  return Array.from(sequences.keys()).sort((i, j) => {
    const [a, b] = [sequences[i]!, sequences[j]!];
    return step(b) - step(a) || compareBeginnings(a, b) || b.ids.length - a.ids.length || i - j;
  });
}

/** By the ids that may be shared, as words in a dictionary. */
function compareBeginnings(a: TokenSequence, b: TokenSequence): number {
  const [aLength, bLength] = [shareableOf(a), shareableOf(b)];
  for (let i = 0; i < aLength && i < bLength; i++) {
    if (a.ids[i] !== b.ids[i]) return a.ids[i]! - b.ids[i]!;
  }
  return aLength - bLength;
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
