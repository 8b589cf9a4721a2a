import { InternalError } from "../../errors.ts";
import { int64Constant, type Value } from "../graph.ts";
import { normalizeAxis, type Shape } from "../shape.ts";
import { exp, mul, sub } from "./elementwise.ts";
import { defineOp, type OpRule, required, single } from "./op.ts";
import { expandTo, shapeOf, unsqueeze } from "./shape-ops.ts";

export interface ReduceOptions {
  /** The dimension stays, with size 1. */
  readonly keepDims?: boolean;
}

const reduced =
  (at: number, keepDims: boolean): OpRule["infer"] =>
  (inputs) => {
    const { type, shape } = required(inputs, 0);
    return [{ type, shape: keepDims ? shape.with(at, 1) : shape.toSpliced(at, 1) }];
  };

/** Repeats a reduced value along the dimension that was reduced. */
function spread(value: Value, x: Value, at: number, keepDims: boolean): Value {
  const kept = keepDims ? value : unsqueeze(value, at);
  return expandTo(kept, shapeOf(x), x.shape);
}

/** Σ x along `axis`, which disappears;  dx = dy. ONNX ReduceSum-13. */
export function reduceSum(x: Value, axis: number, { keepDims = false }: ReduceOptions = {}): Value {
  const at = normalizeAxis(axis, x.shape.length);
  const reduceSumOp = defineOp("ReduceSum", {
    infer: reduced(at, keepDims),
    gradient: ({ inputs, outputGrad }) => [spread(outputGrad, required(inputs, 0), at, keepDims), null],
  });
  return single(reduceSumOp([x, int64Constant(x.graph, [at])], { keepdims: keepDims ? 1 : 0 }));
}

/** log Σ e^x along `axis`, which disappears;  dx = dy ⊙ e^(x − y). ONNX ReduceLogSumExp-18. */
export function reduceLogSumExp(x: Value, axis: number): Value {
  const at = normalizeAxis(axis, x.shape.length);
  const rule = defineOp("ReduceLogSumExp", {
    infer: reduced(at, false),
    gradient: ({ inputs, output, outputGrad }) => {
      const shares = exp(sub(required(inputs, 0), unsqueeze(output, at)));
      return [mul(unsqueeze(outputGrad, at), shares), null];
    },
  });
  return single(rule([x, int64Constant(x.graph, [at])], { keepdims: 0 }));
}

/** max x along `axis`, which disappears. ONNX ReduceMax-20. */
export function reduceMax(x: Value, axis: number, { keepDims = false }: ReduceOptions = {}): Value {
  const at = normalizeAxis(axis, x.shape.length);
  const rule = defineOp("ReduceMax", { infer: reduced(at, keepDims), gradient: null });
  return single(rule([x, int64Constant(x.graph, [at])], { keepdims: keepDims ? 1 : 0 }));
}

/** min x along `axis`, which disappears. ONNX ReduceMin-20. */
export function reduceMin(x: Value, axis: number, { keepDims = false }: ReduceOptions = {}): Value {
  const at = normalizeAxis(axis, x.shape.length);
  const rule = defineOp("ReduceMin", { infer: reduced(at, keepDims), gradient: null });
  return single(rule([x, int64Constant(x.graph, [at])], { keepdims: keepDims ? 1 : 0 }));
}

/** Undoes a broadcast: sums `grad` over the dimensions that `shape` lacks or has with size 1. */
export function sumToShape(grad: Value, shape: Shape): Value {
  let sum = grad;
  while (sum.shape.length > shape.length) sum = reduceSum(sum, 0);
  shape.forEach((dim, i) => {
    if (dim === sum.shape[i]) return;
    if (dim !== 1) throw new InternalError("graph", `a gradient [${grad.shape}] does not fit a value [${shape}].`);
    sum = reduceSum(sum, i, { keepDims: true });
  });
  return sum;
}
