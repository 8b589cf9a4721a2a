import { dataTypes, type ElementType, float32Constant, type Gradient, type Value } from "../graph.ts";
import { broadcast } from "../shape.ts";
import { defineOp, type OpRule, required, sameAsFirst, single } from "./op.ts";

const broadcastInputs: OpRule["infer"] = (inputs) => {
  const [a, b] = [required(inputs, 0), required(inputs, 1)];
  return [{ type: a.type, shape: broadcast(a.shape, b.shape) }];
};
const comparison: OpRule = {
  infer: (inputs, attributes) => [{ ...broadcastInputs(inputs, attributes)[0]!, type: "bool" }],
  gradient: null,
};

/** Gradient rule of an operator with two inputs. */
const binary = (rule: (a: Value, b: Value, dy: Value, y: Value) => readonly [Value, Value]): OpRule => ({
  infer: broadcastInputs,
  gradient: ({ inputs, output, outputGrad }) => rule(required(inputs, 0), required(inputs, 1), outputGrad, output),
});
/** Gradient rule of an operator with one input. */
const unary = (rule: (x: Value, dy: Value, y: Value) => Value): OpRule => ({
  infer: sameAsFirst,
  gradient: ({ inputs, output, outputGrad }) => [rule(required(inputs, 0), outputGrad, output)],
});

/** A number in the graph of `like`. */
export const scalar = (like: Value, value: number): Value => float32Constant(like.graph, [value], []);

const sum = binary((_a, _b, dy) => [dy, dy]);
const addOp = defineOp("Add", sum);
/** a + b, with ONNX broadcasting like all binary operators here. ONNX Add-14. */
export const add = (a: Value, b: Value): Value => single(addOp([a, b]));

const addAgainOp = defineOp("Add", { ...sum, isRecomputed: true });
/** a + b, computed again by the way back, as a sum of what is cheap; a residual sum would compute all layers before it again. */
export const addAgain = (a: Value, b: Value): Value => single(addAgainOp([a, b]));

const subOp = defineOp("Sub", {
  ...binary((_a, _b, dy) => [dy, neg(dy)]),
  isRecomputed: true,
});
/** a − b. ONNX Sub-14. */
export const sub = (a: Value, b: Value): Value => single(subOp([a, b]));

const mulOp = defineOp("Mul", {
  ...binary((a, b, dy) => [mul(dy, b), mul(dy, a)]),
  isRecomputed: true,
});
/** a ⊙ b. ONNX Mul-14. */
export const mul = (a: Value, b: Value): Value => single(mulOp([a, b]));

const divOp = defineOp(
  "Div",
  binary((_a, b, dy, y) => [div(dy, b), neg(div(mul(dy, y), b))]),
);
/** a / b; whole numbers are divided towards zero. ONNX Div-14. */
export const div = (a: Value, b: Value): Value => single(divOp([a, b]));

const maxOp = defineOp("Max", { infer: broadcastInputs, gradient: null });
/** The larger of a and b. ONNX Max-13. */
export const max = (a: Value, b: Value): Value => single(maxOp([a, b]));

const lessOrEqualOp = defineOp("LessOrEqual", comparison);
/** a ≤ b, element by element. ONNX LessOrEqual-16. */
export const lessOrEqual = (a: Value, b: Value): Value => single(lessOrEqualOp([a, b]));

const equalOp = defineOp("Equal", comparison);
/** a = b, element by element. ONNX Equal-19. */
export const equal = (a: Value, b: Value): Value => single(equalOp([a, b]));

const modOp = defineOp("Mod", { infer: broadcastInputs, gradient: null });
/** Remainder of whole numbers, with the sign of b. ONNX Mod-13. */
export const mod = (a: Value, b: Value): Value => single(modOp([a, b]));

const negOp = defineOp(
  "Neg",
  unary((_x, dy) => neg(dy)),
);
/** −x. ONNX Neg-13. */
export const neg = (x: Value): Value => single(negOp([x]));

const absOp = defineOp(
  "Abs",
  unary((x, dy) => mul(dy, sign(x))),
);
/** |x|. ONNX Abs-13. */
export const abs = (x: Value): Value => single(absOp([x]));

const signOp = defineOp("Sign", { infer: sameAsFirst, gradient: null });
/** −1, 0 or 1. ONNX Sign-13. */
export const sign = (x: Value): Value => single(signOp([x]));

const sqrtOp = defineOp(
  "Sqrt",
  unary((_x, dy, y) => div(dy, mul(y, scalar(y, 2)))),
);
/** √x. ONNX Sqrt-13. */
export const sqrt = (x: Value): Value => single(sqrtOp([x]));

const logOp = defineOp(
  "Log",
  unary((x, dy) => div(dy, x)),
);
/** ln x. ONNX Log-13. */
export const log = (x: Value): Value => single(logOp([x]));

const expOp = defineOp(
  "Exp",
  unary((_x, dy, y) => mul(dy, y)),
);
/** e^x. ONNX Exp-13. */
export const exp = (x: Value): Value => single(expOp([x]));

const cosOp = defineOp(
  "Cos",
  unary((x, dy) => neg(mul(dy, sin(x)))),
);
export const cos = (x: Value): Value => single(cosOp([x]));

const sinOp = defineOp(
  "Sin",
  unary((x, dy) => mul(dy, cos(x))),
);
export const sin = (x: Value): Value => single(sinOp([x]));

const whereOp = defineOp("Where", {
  infer: (inputs) => {
    const [condition, a, b] = [required(inputs, 0), required(inputs, 1), required(inputs, 2)];
    return [{ type: a.type, shape: broadcast(condition.shape, broadcast(a.shape, b.shape)) }];
  },
  gradient: ({ inputs, outputGrad: dy }) => {
    const condition = required(inputs, 0);
    return [null, where(condition, dy, scalar(dy, 0)), where(condition, scalar(dy, 0), dy)];
  },
});
/** condition ? a : b. ONNX Where-16. */
export const where = (condition: Value, a: Value, b: Value): Value => single(whereOp([condition, a, b]));

const identityOp = defineOp("Identity", { infer: sameAsFirst, gradient: () => [null] });
/** x as a constant: nothing flows back through it. ONNX Identity-21. */
export const stopGradient = (x: Value): Value => single(identityOp([x]));

export const isFloat = (type: ElementType): boolean => ["float32", "float16", "bfloat16"].includes(type);

/** Changes the element type. ONNX Cast-21. */
export function cast(x: Value, to: ElementType): Value {
  if (x.type === to) return x;
  return single(castOps[to]([x], { to: dataTypes[to] }));
}
const castBack: Gradient = ({ inputs, outputGrad }) => [cast(outputGrad, required(inputs, 0).type)];
const castTo = (type: ElementType) =>
  defineOp("Cast", {
    infer: (inputs) => [{ type, shape: required(inputs, 0).shape }],
    gradient: isFloat(type) ? castBack : null,
  });
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
