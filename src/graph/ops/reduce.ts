import { int64Constant, type Value } from "../graph.ts";
import { normalizeAxis } from "../shape.ts";
import { defineOp, required, single } from "./op.ts";

/** Σ x along `axis`, which disappears. ONNX ReduceSum-13. */
export function reduceSum(x: Value, axis: number): Value {
  const at = normalizeAxis(axis, x.shape.length);
  const reduceSumOp = defineOp("ReduceSum", {
    infer: (inputs) => [{ type: required(inputs, 0).type, shape: required(inputs, 0).shape.toSpliced(at, 1) }],
  });
  return single(reduceSumOp([x, int64Constant(x.graph, [at])], { keepdims: 0 }));
}

/** max x along `axis`, which disappears. ONNX ReduceMax-20. */
export function reduceMax(x: Value, axis: number): Value {
  const at = normalizeAxis(axis, x.shape.length);
  const rule = defineOp("ReduceMax", {
    infer: (inputs) => [{ type: required(inputs, 0).type, shape: required(inputs, 0).shape.toSpliced(at, 1) }],
  });
  return single(rule([x, int64Constant(x.graph, [at])], { keepdims: 0 }));
}
