import { fixed, type Value } from "../graph/graph.ts";
import { layerNormalization, rmsNormalization } from "../graph/ops/fused.ts";
import type { Weights } from "./weights.ts";

/** x / √(mean(x²) + ε) ⊙ weight over the last dimension (arXiv 1910.07467). */
export function rmsNorm(weights: Weights, x: Value, epsilon: number): Value {
  return rmsNormalization(x, weights.tensor("weight", [width(x)]), epsilon);
}

/** (x − mean) / √(variance + ε) ⊙ weight + bias over the last dimension (arXiv 1607.06450). */
export function layerNorm(weights: Weights, x: Value, epsilon: number): Value {
  return layerNormalization(x, weights.tensor("weight", [width(x)]), weights.tensor("bias", [width(x)]), epsilon);
}

const width = (x: Value): number => fixed(x.shape.at(-1), "a normalised width");
