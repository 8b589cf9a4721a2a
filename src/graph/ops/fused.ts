import { fixed, float32Constant, type Value } from "../graph.ts";
import { add, div, mul, neg, sqrt, sub } from "./elementwise.ts";
import { defineOp, required, sameAsFirst, single } from "./op.ts";
import { reduceSum } from "./reduce.ts";

const softmaxOp = defineOp("Softmax", {
  infer: sameAsFirst,
  gradient: ({ output: y, outputGrad: dy }) => [mul(y, sub(dy, reduceSum(mul(dy, y), -1, { keepDims: true })))],
  isRecomputed: true,
});
/** softmax(x) along the last dimension;  dx = y ⊙ (dy − Σ dy ⊙ y). ONNX Softmax-13. */
export const softmax = (x: Value): Value => single(softmaxOp([x], { axis: -1 }));

/** Mean over the last dimension, which stays with size 1. */
function rowMean(x: Value): Value {
  const width = fixed(x.shape.at(-1), "a normalised width");
  return mul(reduceSum(x, -1, { keepDims: true }), float32Constant(x.graph, [1 / width], []));
}

const epsilonOf = (attributes: { readonly epsilon?: unknown }): number =>
  (attributes.epsilon as { readonly float: number }).float;

/** 1 / √(mean(x²) + ε) for each row. */
const inverseRms = (x: Value, epsilon: number): Value =>
  div(float32Constant(x.graph, [1], []), sqrt(add(rowMean(mul(x, x)), float32Constant(x.graph, [epsilon], []))));

const layerNormOp = defineOp("LayerNormalization", {
  infer: sameAsFirst,
  gradient: ({ inputs, outputGrad: dy, attributes }) => {
    const [x, weight] = [required(inputs, 0), required(inputs, 1)];
    const centred = sub(x, rowMean(x));
    const scale = inverseRms(centred, epsilonOf(attributes));
    const unit = mul(centred, scale);
    const g = mul(dy, weight);
    const dx = mul(scale, sub(sub(g, rowMean(g)), mul(unit, rowMean(mul(g, unit)))));
    return [dx, mul(dy, unit), dy];
  },
  isRecomputed: true,
});
/**
 * x̂ ⊙ weight + bias with x̂ = (x − mean) / √(variance + ε) =: (x − mean) r over the last dimension;  with g = dy ⊙ weight:
 * dx = r (g − mean(g) − x̂ mean(g ⊙ x̂)), dweight = Σ dy ⊙ x̂, dbias = Σ dy. ONNX LayerNormalization-17.
 */
export const layerNormalization = (x: Value, weight: Value, bias: Value, epsilon: number): Value =>
  single(layerNormOp([x, weight, bias], { axis: -1, epsilon: { float: epsilon } }));

const rmsNormOp = defineOp("RMSNormalization", {
  infer: sameAsFirst,
  gradient: ({ inputs, outputGrad: dy, attributes }) => {
    const [x, weight] = [required(inputs, 0), required(inputs, 1)];
    const scale = inverseRms(x, epsilonOf(attributes));
    const g = mul(dy, weight);
    const slope = mul(mul(scale, mul(scale, scale)), rowMean(mul(g, x)));
    return [sub(mul(g, scale), mul(x, slope)), mul(dy, mul(x, scale))];
  },
  isRecomputed: true,
});
/**
 * x r ⊙ weight with r = 1 / √(mean(x²) + ε) over the last dimension;  with g = dy ⊙ weight:
 * dx = r g − r³ mean(g ⊙ x) x, dweight = Σ dy ⊙ x r. ONNX RMSNormalization-23.
 */
export const rmsNormalization = (x: Value, weight: Value, epsilon: number): Value =>
  single(rmsNormOp([x, weight], { axis: -1, epsilon: { float: epsilon } }));

const rotaryOp = defineOp("RotaryEmbedding", {
  infer: sameAsFirst,
  gradient: ({ inputs, outputGrad: dy, attributes }) => {
    const [cos, sin] = [required(inputs, 1), required(inputs, 2)];
    const back = rotaryEmbedding(dy, cos, neg(sin), attributes.num_heads as number, attributes.interleaved === 1);
    return [back, null, null, null];
  },
});
/**
 * Rotates the pairs (x_i, x_{i + headDim/2}) of every head, or (x_2i, x_2i+1) if interleaved, by its position's angles;
 * the gradient is rotated back. ONNX RotaryEmbedding-23.
 * @param x    [batch, length, numHeads · headDim]
 * @param cos  [batch, length, headDim / 2]; sin likewise; both are constants of the positions
 */
export const rotaryEmbedding = (x: Value, cos: Value, sin: Value, numHeads: number, interleaved: boolean): Value =>
  single(rotaryOp([x, cos, sin, null], { num_heads: numHeads, interleaved: interleaved ? 1 : 0 }));
