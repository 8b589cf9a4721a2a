import { describe, expect, test } from "vitest";
import { readWhitening } from "../embed/whitening.ts";
import { fitWhitening } from "./fit-whitening.ts";

/** Normal numbers from a fixed seed (mulberry32, Box-Muller). */
function* normal(seed: number): Generator<number, never, undefined> {
  let state = seed;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  while (true) yield Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

const deviations = [10, 5, 2, 1, 1, 0.5];
const offset = [3, -1, 0, 2, 7, 0];
function sample(count: number): Float32Array[] {
  const numbers = normal(1);
  return Array.from({ length: count }, () =>
    Float32Array.from(deviations, (deviation, i) => deviation * numbers.next().value + offset[i]!),
  );
}

function whitened(vectors: readonly Float32Array[], directions: number): Float32Array[] {
  const whiten = readWhitening(fitWhitening(vectors, directions), vectors[0]!.length);
  return vectors.map((vector) => {
    const copy = vector.slice();
    whiten(copy);
    return copy;
  });
}

const variances = (vectors: readonly Float32Array[]): number[] =>
  Array.from(vectors[0]!, (_, i) => {
    const mean = vectors.reduce((sum, vector) => sum + vector[i]!, 0) / vectors.length;
    return vectors.reduce((sum, vector) => sum + (vector[i]! - mean) ** 2, 0) / vectors.length;
  });

describe.each([4, 400])("fitted on %i vectors of 6 dimensions, by either product", (count) => {
  test("no direction takes the mean away and nothing else", () => {
    const vectors = sample(count);
    const changed = whitened(vectors, 0);
    for (const i of [0, 1, 2, 3, 4, 5]) {
      expect(changed.reduce((sum, vector) => sum + vector[i]!, 0) / count).toBeCloseTo(0, 4);
      expect(changed[0]![i]! - changed[1]![i]!).toBeCloseTo(vectors[0]![i]! - vectors[1]![i]!, 4);
    }
  });

  test("two directions get the variance of the third, and no vector grows", () => {
    const vectors = sample(count);
    const [plain, changed] = [whitened(vectors, 0), whitened(vectors, 2)];
    const total = (some: readonly Float32Array[]): number => variances(some).reduce((sum, value) => sum + value, 0);
    expect(total(changed)).toBeLessThan(0.5 * total(plain));
    for (const [row, vector] of changed.entries()) {
      expect(Math.hypot(...vector)).toBeLessThanOrEqual(Math.hypot(...plain[row]!) + 1e-4);
    }
  });
});

test("of many vectors the large variances become that of the next direction, the others stay", () => {
  const vectors = sample(2000);
  const after = variances(whitened(vectors, 2));
  for (const i of [0, 1, 2]) expect(after[i]! / 4).toBeCloseTo(1, 1); // 2² is the third's
  for (const i of [3, 4, 5]) expect(after[i]! / deviations[i]! ** 2).toBeCloseTo(1, 1);
});

test("more directions than there can be are as many as there are", () => {
  expect(fitWhitening(sample(4), 64).scales).toHaveLength(2);
  expect(fitWhitening(sample(400), 64).scales).toHaveLength(5);
});

test("a whitening that was fitted on vectors of another length is refused", () => {
  expect(() => readWhitening(fitWhitening(sample(10), 2), 576)).toThrow(/6 dimensions.*576.*oneword recipe fit/);
});

test("directions in which the texts do not vary are no measure of the others", () => {
  const vectors = sample(12).map((vector) => Float32Array.from({ length: 40 }, (_, i) => vector[i] ?? 0));
  const { scales } = fitWhitening(vectors, 20); // of 6 dimensions that vary
  expect(scales.length).toBeLessThan(6);
  for (const scale of scales) expect(scale).toBeGreaterThan(0.01);
  expect(fitWhitening([vectors[0]!, vectors[0]!, vectors[0]!, vectors[0]!], 2).scales).toEqual([]);
});
