import { InputError } from "../errors.ts";
import type { Whitening } from "../text/recipe.ts";
import { dot } from "./pooling.ts";

/** Takes the mean away and scales some directions, in place. */
export type Whiten = (vector: Float32Array) => void;

/**
 * x' = x − mean;  x'' = x' + Σ_k (scale_k − 1) (u_k · x') u_k
 * No direction: removal of the mean. Scales of 0: "all but the top" (arXiv 1702.01417). Scales √(λ_K+1 / λ_k): the K
 * largest principal directions get the variance of the next one, which is whitening (arXiv 2103.15316) where the
 * variances are much larger than the rest, and leaves the rest and the number of dimensions alone.
 * @throws InputError "bad-recipe" for a mean of another length than the vectors: the recipe was fitted on another model
 */
export function readWhitening({ mean, directions, scales }: Whitening, hiddenSize: number): Whiten {
  const center = decode(mean);
  const rows = decode(directions);
  if (center.length !== hiddenSize || rows.length !== scales.length * hiddenSize) {
    throw new InputError(
      "bad-recipe",
      `the recipe's whitening has ${center.length} dimensions and ${rows.length} numbers for ${scales.length} directions, ` +
        `but the model's vectors have ${hiddenSize}. Fit it on this model: oneword recipe fit.`,
    );
  }
  const units = scales.map((_, k) => rows.subarray(k * hiddenSize, (k + 1) * hiddenSize));
  return (vector) => {
    for (let i = 0; i < hiddenSize; i++) vector[i]! -= center[i]!;
    const parts = units.map((unit, k) => (scales[k]! - 1) * dot(unit, vector));
    units.forEach((unit, k) => {
      for (let i = 0; i < hiddenSize; i++) vector[i]! += parts[k]! * unit[i]!;
    });
  };
}

function decode(base64: string): Float32Array {
  const bytes = Buffer.from(base64, "base64");
  return Float32Array.from({ length: bytes.length >> 2 }, (_, i) => bytes.readFloatLE(4 * i));
}

/** float32, little-endian, base64. */
export function encodeFloats(values: Iterable<number>): string {
  const numbers = [...values];
  const bytes = Buffer.alloc(4 * numbers.length);
  numbers.forEach((value, i) => {
    bytes.writeFloatLE(value, 4 * i);
  });
  return bytes.toString("base64");
}
