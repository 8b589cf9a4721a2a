import type { ElementType, Value } from "../graph.ts";
import { broadcast } from "../shape.ts";
import { defineOp, type OpRule, required, sameAsFirst, single } from "./op.ts";

const dataTypes: Partial<Record<ElementType, number>> = { float32: 1, int32: 6, int64: 7, bool: 9, float16: 10 };

const binary: OpRule = {
  infer: (inputs) => {
    const [a, b] = [required(inputs, 0), required(inputs, 1)];
    return [{ type: a.type, shape: broadcast(a.shape, b.shape) }];
  },
};
const comparison: OpRule = {
  infer: (inputs, attributes) => [{ ...binary.infer(inputs, attributes)[0]!, type: "bool" }],
};

const addOp = defineOp("Add", binary);
const subOp = defineOp("Sub", binary);
const mulOp = defineOp("Mul", binary);
const divOp = defineOp("Div", binary);
const lessOrEqualOp = defineOp("LessOrEqual", comparison);
const reluOp = defineOp("Relu", sameAsFirst);
const sigmoidOp = defineOp("Sigmoid", sameAsFirst);
const geluOp = defineOp("Gelu", sameAsFirst);
const absOp = defineOp("Abs", sameAsFirst);
const cosOp = defineOp("Cos", sameAsFirst);
const sinOp = defineOp("Sin", sameAsFirst);

/** a + b, with ONNX broadcasting like all binary operators here. ONNX Add-14. */
export const add = (a: Value, b: Value): Value => single(addOp([a, b]));
/** a − b. ONNX Sub-14. */
export const sub = (a: Value, b: Value): Value => single(subOp([a, b]));
/** a ⊙ b. ONNX Mul-14. */
export const mul = (a: Value, b: Value): Value => single(mulOp([a, b]));
/** a / b; whole numbers are divided towards zero. ONNX Div-14. */
export const div = (a: Value, b: Value): Value => single(divOp([a, b]));
/** a ≤ b, element by element. ONNX LessOrEqual-16. */
export const lessOrEqual = (a: Value, b: Value): Value => single(lessOrEqualOp([a, b]));
/** |x|. ONNX Abs-13. */
export const abs = (x: Value): Value => single(absOp([x]));
/** max(x, 0). ONNX Relu-14. */
export const relu = (x: Value): Value => single(reluOp([x]));
/** 1 / (1 + e^−x). ONNX Sigmoid-13. */
export const sigmoid = (x: Value): Value => single(sigmoidOp([x]));
/** x Φ(x) with Φ by erf. ONNX Gelu-20. */
export const gelu = (x: Value): Value => single(geluOp([x]));
/** The same by Φ's tanh approximation, `gelu_new` and `gelu_pytorch_tanh` in config.json. ONNX Gelu-20. */
export const geluTanh = (x: Value): Value => single(geluOp([x], { approximate: "tanh" }));
/** x · sigmoid(x), also called swish. */
export const silu = (x: Value): Value => mul(x, sigmoid(x));
export const cos = (x: Value): Value => single(cosOp([x]));
export const sin = (x: Value): Value => single(sinOp([x]));

const whereOp = defineOp("Where", {
  infer: (inputs) => {
    const [condition, a, b] = [required(inputs, 0), required(inputs, 1), required(inputs, 2)];
    return [{ type: a.type, shape: broadcast(condition.shape, broadcast(a.shape, b.shape)) }];
  },
});
/** condition ? a : b. ONNX Where-16. */
export const where = (condition: Value, a: Value, b: Value): Value => single(whereOp([condition, a, b]));

/** Changes the element type. ONNX Cast-21. */
export function cast(x: Value, to: ElementType): Value {
  if (x.type === to) return x;
  return single(castOps[to]([x], { to: dataTypes[to] as number }));
}
const castTo = (type: ElementType) =>
  defineOp("Cast", { infer: (inputs) => [{ type, shape: required(inputs, 0).shape }] });
const castOps: Record<ElementType, ReturnType<typeof defineOp>> = {
  float32: castTo("float32"),
  float16: castTo("float16"),
  bfloat16: castTo("bfloat16"),
  int64: castTo("int64"),
  int32: castTo("int32"),
  uint8: castTo("uint8"),
  int8: castTo("int8"),
  bool: castTo("bool"),
};
