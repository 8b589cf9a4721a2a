import type { Value } from "../graph.ts";
import { defineOp, sameAsFirst, single } from "./op.ts";

const softmaxOp = defineOp("Softmax", sameAsFirst);
/** softmax(x) along the last dimension. ONNX Softmax-13. */
export const softmax = (x: Value): Value => single(softmaxOp([x], { axis: -1 }));

const layerNormOp = defineOp("LayerNormalization", sameAsFirst);
/** (x − mean) / √(variance + ε) ⊙ weight + bias over the last dimension. ONNX LayerNormalization-17. */
export const layerNormalization = (x: Value, weight: Value, bias: Value, epsilon: number): Value =>
  single(layerNormOp([x, weight, bias], { axis: -1, epsilon: { float: epsilon } }));

const rmsNormOp = defineOp("RMSNormalization", sameAsFirst);
/** x / √(mean(x²) + ε) ⊙ weight over the last dimension. ONNX RMSNormalization-23. */
export const rmsNormalization = (x: Value, weight: Value, epsilon: number): Value =>
  single(rmsNormOp([x, weight], { axis: -1, epsilon: { float: epsilon } }));

const rotaryOp = defineOp("RotaryEmbedding", sameAsFirst);
/**
 * Rotates the pairs (x_i, x_{i + headDim/2}) of every head, or (x_2i, x_2i+1) if interleaved, by its position's angles. ONNX RotaryEmbedding-23.
 * @param x    [batch, length, numHeads · headDim]
 * @param cos  [batch, length, headDim / 2]; sin likewise
 */
export const rotaryEmbedding = (x: Value, cos: Value, sin: Value, numHeads: number, interleaved: boolean): Value =>
  single(rotaryOp([x, cos, sin, null], { num_heads: numHeads, interleaved: interleaved ? 1 : 0 }));
