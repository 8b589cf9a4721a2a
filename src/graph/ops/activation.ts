import type { Value } from "../graph.ts";
import { add, exp, lessOrEqual, mul, scalar, sub, where } from "./elementwise.ts";
import { defineOp, required, sameAsFirst, single } from "./op.ts";

const reluOp = defineOp("Relu", {
  infer: sameAsFirst,
  gradient: ({ output: y, outputGrad: dy }) => [where(lessOrEqual(y, scalar(y, 0)), scalar(y, 0), dy)],
});
/** max(x, 0). ONNX Relu-14. */
export const relu = (x: Value): Value => single(reluOp([x]));

const sigmoidOp = defineOp("Sigmoid", {
  infer: sameAsFirst,
  gradient: ({ output: y, outputGrad: dy }) => [mul(dy, mul(y, sub(scalar(y, 1), y)))],
  isRecomputed: true,
});
/** 1 / (1 + e^−x). ONNX Sigmoid-13. */
export const sigmoid = (x: Value): Value => single(sigmoidOp([x]));

const tanhOp = defineOp("Tanh", {
  infer: sameAsFirst,
  gradient: ({ output: y, outputGrad: dy }) => [mul(dy, sub(scalar(y, 1), mul(y, y)))],
});
/** tanh x. ONNX Tanh-13. */
export const tanh = (x: Value): Value => single(tanhOp([x]));

const erfOp = defineOp("Erf", {
  infer: sameAsFirst,
  gradient: ({ inputs, outputGrad: dy }) => {
    const x = required(inputs, 0);
    return [mul(dy, mul(exp(mul(mul(x, x), scalar(x, -1))), scalar(x, 2 / Math.sqrt(Math.PI))))];
  },
});
/** 2 / √π ∫₀ˣ e^−t² dt. ONNX Erf-13. */
export const erf = (x: Value): Value => single(erfOp([x]));

const geluOp = defineOp("Gelu", {
  infer: sameAsFirst,
  gradient: ({ inputs, outputGrad: dy, attributes }) => {
    const x = required(inputs, 0);
    return [mul(dy, attributes.approximate === "tanh" ? geluTanhSlope(x) : geluSlope(x))];
  },
  isRecomputed: true,
});
/** x Φ(x) with Φ by erf. ONNX Gelu-20. */
export const gelu = (x: Value): Value => single(geluOp([x]));
/** The same by Φ's tanh approximation, `gelu_new` and `gelu_pytorch_tanh` in config.json. ONNX Gelu-20. */
export const geluTanh = (x: Value): Value => single(geluOp([x], { approximate: "tanh" }));

/** Φ(x) + x φ(x). */
function geluSlope(x: Value): Value {
  const phi = mul(exp(mul(mul(x, x), scalar(x, -0.5))), scalar(x, 1 / Math.sqrt(2 * Math.PI)));
  const capitalPhi = mul(add(erf(mul(x, scalar(x, Math.SQRT1_2))), scalar(x, 1)), scalar(x, 0.5));
  return add(capitalPhi, mul(x, phi));
}

/** With t = tanh u, u = √(2/π) (x + 0.044715 x³): (1 + t) / 2 + x (1 − t²) u′ / 2. */
function geluTanhSlope(x: Value): Value {
  const [root, cubic] = [Math.sqrt(2 / Math.PI), 0.044715];
  const square = mul(x, x);
  const t = tanh(mul(mul(x, scalar(x, root)), add(mul(square, scalar(x, cubic)), scalar(x, 1))));
  const slopeOfU = mul(add(mul(square, scalar(x, 3 * cubic)), scalar(x, 1)), scalar(x, root));
  const tail = mul(mul(x, sub(scalar(x, 1), mul(t, t))), slopeOfU);
  return mul(add(add(t, tail), scalar(x, 1)), scalar(x, 0.5));
}

/** x · sigmoid(x), also called swish. */
export const silu = (x: Value): Value => mul(x, sigmoid(x));
