import { cosineSimilarity } from "../embed/pooling.ts";
import { pearson, spearman, weightedMean } from "./correlation.ts";
import type { StsTask } from "./tasks.ts";

/** Two sentences and how alike people found them. */
export interface SentencePair {
  readonly sentence1: string;
  readonly sentence2: string;
  /** 0 to 5, in SICK 1 to 5. */
  readonly score: number;
}

/** Pairs from one source, such as the headlines of STS13. */
export interface StsSubset {
  readonly name: string;
  readonly pairs: readonly SentencePair[];
}

/** A semantic textual similarity set. */
export interface StsSet {
  readonly task: StsTask;
  readonly subsets: readonly StsSubset[];
}

/** Fractions in [-1, 1], not × 100; NaN where the cosines or the scores are all equal. */
export interface Correlation {
  readonly spearman: number;
  readonly pearson: number;
}

export interface StsResult {
  readonly task: StsTask;
  readonly pairs: number;
  /** One correlation over the pairs of all subsets, which is what the paper reports. */
  readonly all: Correlation;
  /** Mean of the subsets' correlations. */
  readonly mean: Correlation;
  /** The same, weighted by their pairs. */
  readonly wmean: Correlation;
  readonly subsets: readonly ScoredSubset[];
}

export interface ScoredSubset extends Correlation {
  readonly name: string;
  readonly pairs: readonly SentencePair[];
  /** In the order of the pairs. */
  readonly cosines: readonly number[];
}

/** Vector of a text, [hiddenSize]. */
export type VectorOf = (text: string) => Float32Array;

/**
 * Scores a set by the cosine of its pairs' vectors; no training.
 * @see SentEval, senteval/sts.py, and for `all` SimCSE (arXiv 2104.08821, appendix B)
 */
export function scoreSts({ task, subsets }: StsSet, vectorOf: VectorOf): StsResult {
  const scored = subsets.map((subset) => scoreSubset(subset, vectorOf));
  const sizes = scored.map(({ pairs }) => pairs.length);
  const over = (weights?: readonly number[]): Correlation => ({
    spearman: weightedMean(
      scored.map((subset) => subset.spearman),
      weights,
    ),
    pearson: weightedMean(
      scored.map((subset) => subset.pearson),
      weights,
    ),
  });
  const all = correlate(
    scored.flatMap(({ cosines }) => cosines),
    scored.flatMap(({ pairs }) => pairs),
  );
  return {
    task,
    pairs: sizes.reduce((sum, size) => sum + size, 0),
    all,
    mean: over(),
    wmean: over(sizes),
    subsets: scored,
  };
}

function scoreSubset({ name, pairs }: StsSubset, vectorOf: VectorOf): ScoredSubset {
  const cosines = pairs.map(({ sentence1, sentence2 }) => cosineSimilarity(vectorOf(sentence1), vectorOf(sentence2)));
  return { name, pairs, cosines, ...correlate(cosines, pairs) };
}

function correlate(cosines: readonly number[], pairs: readonly SentencePair[]): Correlation {
  const scores = pairs.map(({ score }) => score);
  return { spearman: spearman(cosines, scores), pearson: pearson(cosines, scores) };
}

/** A correlation or an accuracy as the literature prints it: × 100, two decimals. */
export const percent = (fraction: number): number => Math.round(fraction * 1e4) / 100;

/** The paper's average: the mean of numbers that were already rounded. */
export const averagePercent = (fractions: readonly number[]): number =>
  Math.round(weightedMean(fractions.map(percent)) * 100) / 100;
