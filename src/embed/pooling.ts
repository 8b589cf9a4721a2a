import { InputError } from "../errors.ts";

/** Scales a vector to length 1 in place; the zero vector stays as it is. */
export function scaleToUnit(vector: Float32Array): void {
  const length = Math.sqrt(dot(vector, vector));
  if (length > 0) for (let i = 0; i < vector.length; i++) vector[i]! /= length;
}

/**
 * a·b / (|a| |b|), in [-1, 1]; 0 where one of them is the zero vector.
 * @throws InputError "bad-option" for vectors of different lengths
 */
export function cosineSimilarity(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) {
    throw new InputError("bad-option", `vectors of ${a.length} and ${b.length} numbers have no cosine.`);
  }
  const lengths = Math.sqrt(dot(a, a) * dot(b, b));
  return lengths > 0 ? Math.min(1, Math.max(-1, dot(a, b) / lengths)) : 0;
}

/** a·b */
export function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Shares of `length` tokens in a mean, which sum to 1: equal ones, or in proportion to 1, 2, 3 … (SGPT, arXiv 2202.08904). */
export function poolWeights(pooling: "mean" | "weightedMean", length: number): number[] {
  const total = (length * (length + 1)) / 2;
  return Array.from({ length }, (_, i) => (pooling === "mean" ? 1 / length : (i + 1) / total));
}
