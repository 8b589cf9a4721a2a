import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { encodeFloats } from "../embed/whitening.ts";
import { InputError } from "../errors.ts";
import type { Whitening } from "../text/recipe.ts";

/** Most vectors that a fit looks at: the mean and the large directions are settled long before (docs/recipes.md). */
export const maxFittedVectors = 2000;

/** Directions that so many texts are enough for: four of them for each. */
export const mostDirections = (texts: number): number => Math.floor(texts / 4);

/** A variance smaller than that of the largest one by more is rounding; scaled to it, the others would be gone. */
const leastShare = 1e-9;

/**
 * Mean and largest principal directions of some vectors, with the scales that give each of those directions the variance
 * of the next one: √(λ_K+1 / λ_k). No label is looked at.
 * @param vectors     [count][hiddenSize]
 * @param directions  K; 0 takes only the mean away. Fewer where the vectors do not have so many
 * @see Whitening, and readWhitening for what is done with it
 */
export function fitWhitening(vectors: readonly Float32Array[], directions: number): Whitening {
  const [first] = vectors;
  if (!first) throw new InputError("bad-option", "there is no text to fit on.");
  const some = vectors.slice(0, maxFittedVectors);
  const mean = first.map((_, i) => some.reduce((sum, vector) => sum + vector[i]!, 0) / some.length);
  const most = Math.max(0, Math.min(directions, some.length - 2, first.length - 1));
  if (most === 0) return { mean: encodeFloats(mean), directions: "", scales: [] };
  const centered = new Matrix(some.map((vector) => Array.from(vector, (value, i) => value - mean[i]!)));
  const { values, vectors: axes } = principalAxes(centered, most + 1);
  const count = values.findLastIndex((value) => value > leastShare * values[0]!); // the last one is the measure of the others
  const kept = axes.slice(0, Math.max(0, count));
  return {
    mean: encodeFloats(mean),
    directions: encodeFloats(kept.flat()),
    scales: kept.map((_, k) => Math.sqrt(values[count]! / values[k]!)),
  };
}

/** The largest eigenvalues of XᵀX and their eigenvectors, by way of XXᵀ where that is the smaller one. */
function principalAxes(x: Matrix, count: number): { readonly values: number[]; readonly vectors: number[][] } {
  const isWide = x.rows < x.columns;
  const product = isWide ? x.mmul(x.transpose()) : x.transpose().mmul(x);
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(product, { assumeSymmetric: true });
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!);
  const largest = order.slice(0, count);
  const vectors = largest.map((i) => {
    const column = eigenvectorMatrix.getColumn(i);
    return isWide ? unit(Matrix.rowVector(column).mmul(x).getRow(0)) : column;
  });
  return { values: largest.map((i) => realEigenvalues[i]!), vectors };
}

function unit(vector: number[]): number[] {
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((value) => value / length) : vector;
}
