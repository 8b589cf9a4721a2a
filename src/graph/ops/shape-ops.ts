import { InternalError } from "../../errors.ts";
import { int64Constant, type Value } from "../graph.ts";
import { type Dim, normalizeAxis, product, type Shape, withDim } from "../shape.ts";
import { defineOp, required, single } from "./op.ts";

const gatherOp = defineOp("Gather", {
  infer: (inputs, { axis }) => {
    const [data, indices] = [required(inputs, 0), required(inputs, 1)];
    const at = normalizeAxis(axis as number, data.shape.length);
    return [{ type: data.type, shape: [...data.shape.slice(0, at), ...indices.shape, ...data.shape.slice(at + 1)] }];
  },
});

/** data[indices] along `axis`. ONNX Gather-13. */
export const gather = (data: Value, indices: Value, axis = 0): Value => single(gatherOp([data, indices], { axis }));

/**
 * The same elements in another shape. At most one symbolic dimension may be new; the others must keep their place.
 * ONNX Reshape-21.
 */
export function reshape(x: Value, shape: Shape): Value {
  const target = shape.map((dim, i) => (typeof dim === "number" ? dim : dim === x.shape[i] ? 0 : -1));
  if (target.filter((dim) => dim === -1).length > 1 || product(x.shape) !== product(shape)) {
    throw new InternalError("graph", `cannot reshape [${x.shape}] to [${shape}].`);
  }
  const rule = defineOp("Reshape", { infer: (inputs) => [{ type: required(inputs, 0).type, shape }] });
  return single(rule([x, int64Constant(x.graph, target)]));
}

/** Reshape where the graph itself computes the sizes, 0 among them: `target` is int64 [rank], `shape` what it will say. */
export function reshapeTo(x: Value, target: Value, shape: Shape): Value {
  const rule = defineOp("Reshape", { infer: (inputs) => [{ type: required(inputs, 0).type, shape }] });
  return single(rule([x, target], { allowzero: 1 }));
}

const transposeOp = defineOp("Transpose", {
  infer: (inputs, { perm }) => {
    const x = required(inputs, 0);
    return [{ type: x.type, shape: (perm as readonly number[]).map((axis) => x.shape[axis]!) }];
  },
});

/** Dimensions in the order `perm`. ONNX Transpose-21. */
export const transpose = (x: Value, perm: readonly number[]): Value => single(transposeOp([x], { perm }));

/** Swaps the last two dimensions. */
export function transposeLast(x: Value): Value {
  const axes = x.shape.map((_, i) => i);
  const [a, b] = [axes.length - 2, axes.length - 1];
  return transpose(x, axes.with(a, b).with(b, a));
}

/** Joins along `axis`. ONNX Concat-13. */
export function concat(values: readonly Value[], axis: number): Value {
  const rule = defineOp("Concat", {
    infer: (inputs) => {
      const parts = inputs.map((_, i) => required(inputs, i));
      const sizes = parts.map((part) => part.shape.at(axis)!);
      const numbers = sizes.filter((size) => typeof size === "number");
      const dim: Dim = numbers.length === sizes.length ? numbers.reduce((sum, size) => sum + size, 0) : sizes.join("+");
      return [{ type: parts[0]!.type, shape: withDim(parts[0]!.shape, axis, dim) }];
    },
  });
  return single(rule(values, { axis }));
}

/** x[start:end] along `axis`; `end` may be a value of the graph. ONNX Slice-13. */
export function slice(x: Value, axis: number, start: number | Value, end: number | Value, size: Dim): Value {
  const bound = (value: number | Value): Value => (typeof value === "number" ? int64Constant(x.graph, [value]) : value);
  const rule = defineOp("Slice", {
    infer: (inputs) => [{ type: required(inputs, 0).type, shape: withDim(required(inputs, 0).shape, axis, size) }],
  });
  return single(rule([x, bound(start), bound(end), int64Constant(x.graph, [axis])]));
}

/** Sizes of `x` from dimension `start` up to `end`, as int64 [end − start]. ONNX Shape-21. */
export function sizes(x: Value, start: number, end: number): Value {
  const rule = defineOp("Shape", { infer: () => [{ type: "int64", shape: [end - start] }] });
  return single(rule([x], { start, end }));
}

/** A new dimension of size 1 at `axis`. ONNX Unsqueeze-21. */
export function unsqueeze(x: Value, axis: number): Value {
  const shape = x.shape.toSpliced(axis, 0, 1);
  const rule = defineOp("Unsqueeze", { infer: (inputs) => [{ type: required(inputs, 0).type, shape }] });
  return single(rule([x, int64Constant(x.graph, [axis])]));
}

/** 0, 1, … up to `limit` (int64, one element), exclusive. ONNX Range-11. */
export function range(limit: Value, dim: Dim): Value {
  const { graph } = limit;
  const scalar = defineOp("Squeeze", { infer: (inputs) => [{ type: required(inputs, 0).type, shape: [] }] });
  const rule = defineOp("Range", { infer: () => [{ type: "int64", shape: [dim] }] });
  return single(rule([int64Constant(graph, [0], []), single(scalar([limit])), int64Constant(graph, [1], [])]));
}

/** Repeats `x` to the sizes in `target` (int64), which are `shape`. ONNX Expand-13. */
export function expandTo(x: Value, target: Value, shape: Shape): Value {
  const rule = defineOp("Expand", { infer: (inputs) => [{ type: required(inputs, 0).type, shape }] });
  return single(rule([x, target]));
}
