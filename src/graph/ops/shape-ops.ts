import { InternalError } from "../../errors.ts";
import { type Graph, int64Constant, type Value } from "../graph.ts";
import { type Dim, evaluateDim, normalizeAxis, product, type Shape, withDim } from "../shape.ts";
import { add, mul, scalar, sub } from "./elementwise.ts";
import { defineOp, type Op, type OpRule, required, sameAsFirst, single } from "./op.ts";

const gatherShape: OpRule["infer"] = (inputs) => {
  const [data, indices] = [required(inputs, 0), required(inputs, 1)];
  return [{ type: data.type, shape: [...indices.shape, ...data.shape.slice(1)] }];
};
const gatherOp = defineOp("Gather", {
  infer: gatherShape,
  gradient: ({ inputs, outputGrad }) => {
    const [data, indices] = [required(inputs, 0), required(inputs, 1)];
    return [sumOfTaken(data, indices, outputGrad), null];
  },
});

/** Rows data[indices];  ddata adds up the gradients of the rows that were taken. ONNX Gather-13. */
export const gather = (data: Value, indices: Value): Value => single(gatherOp([data, indices], { axis: 0 }));

/**
 * Rows data[indices] where the way back is known, which is cheaper than adding up.
 * @param back  from the gradient by the rows to the gradient by `data`
 */
export function gatherWith(data: Value, indices: Value, back: (grad: Value) => Value): Value {
  const rule = defineOp("Gather", {
    infer: gatherShape,
    gradient: ({ outputGrad }) => [back(outputGrad), null],
    isRecomputed: true,
  });
  return single(rule([data, indices], { axis: 0 }));
}

const constantRowsOp = defineOp("Gather", { infer: gatherShape, gradient: null, isRecomputed: true });

/** Rows data[indices] of a table that nothing flows back into. */
export const constantRows = (data: Value, indices: Value): Value =>
  single(constantRowsOp([data, indices], { axis: 0 }));

/** Zeros like `data`, and what was taken of each row, [...indices, ...row], added up there. */
function sumOfTaken(data: Value, indices: Value, taken: Value): Value {
  const [rows, width] = [data.shape[0]!, product(data.shape.slice(1))];
  const count = product(indices.shape);
  const zeros = expandTo(scalar(data, 0), shapeOf(data), data.shape);
  const sum = addRows(reshape(zeros, [rows, width]), reshape(indices, [count]), reshape(taken, [count, width]));
  return reshapeLike(sum, data);
}

/**
 * `data` [rows, width] with `updates` [count, width] added to its rows `at`, int64 [count], where a row may come more than once:
 * ScatterND, whose threads do not wait for each other, would lose some of its updates. ONNX ScatterElements-18.
 */
export function addRows(data: Value, at: Value, updates: Value): Value {
  const rule = defineOp("ScatterElements", { infer: sameAsFirst, gradient: null });
  const indices = expandTo(unsqueeze(at, 1), shapeOf(updates), updates.shape);
  return single(rule([data, indices, updates], { axis: 0, reduction: "add" }));
}

/**
 * The same elements in another shape. At most one symbolic dimension may be new; the others must keep their place.
 * ONNX Reshape-21.
 */
export function reshape(x: Value, shape: Shape): Value {
  const target = shape.map((dim, i) => (typeof dim === "number" ? dim : dim === x.shape[i] ? 0 : -1));
  if (target.filter((dim) => dim === -1).length > 1 || product(x.shape) !== product(shape)) {
    throw new InternalError("graph", `cannot reshape [${x.shape}] to [${shape}].`);
  }
  return single(reshapeOp(shape)([x, int64Constant(x.graph, target)]));
}

/** Reshape where the graph itself computes the sizes, 0 among them: `target` is int64 [rank], `shape` what it will say. */
export function reshapeTo(x: Value, target: Value, shape: Shape): Value {
  return single(reshapeOp(shape)([x, target], { allowzero: 1 }));
}

/** The same shape once more; `zeros` is int64 [rank] of 0, each of which says "as it is". */
export const reshapeAsIs = (x: Value, zeros: Value): Value => single(reshapeOp(x.shape)([x, zeros]));

const reshapeOp = (shape: Shape): Op =>
  defineOp("Reshape", {
    infer: (inputs) => [{ type: required(inputs, 0).type, shape }],
    gradient: ({ inputs, outputGrad }) => [reshapeLike(outputGrad, required(inputs, 0)), null],
    isRecomputed: true,
  });

/** `x` in the shape of `like`, which has as many elements. */
const reshapeLike = (x: Value, like: Value): Value => reshapeTo(x, shapeOf(like), like.shape);

const transposeOp = defineOp("Transpose", {
  infer: (inputs, { perm }) => {
    const x = required(inputs, 0);
    return [{ type: x.type, shape: (perm as readonly number[]).map((axis) => x.shape[axis]!) }];
  },
  gradient: ({ outputGrad, attributes }) => {
    const perm = attributes.perm as readonly number[];
    return [
      transpose(
        outputGrad,
        perm.map((_, axis) => perm.indexOf(axis)),
      ),
    ];
  },
  isRecomputed: true,
});

/** Dimensions in the order `perm`;  the gradient's go back. ONNX Transpose-21. */
export const transpose = (x: Value, perm: readonly number[]): Value => single(transposeOp([x], { perm }));

/** Swaps the last two dimensions. */
export function transposeLast(x: Value): Value {
  const axes = x.shape.map((_, i) => i);
  const [a, b] = [axes.length - 2, axes.length - 1];
  return transpose(x, axes.with(a, b).with(b, a));
}

/** Joins along `axis`;  the gradient is cut at the joints. ONNX Concat-13. */
export function concat(values: readonly Value[], axis: number): Value {
  const rule = defineOp("Concat", {
    infer: (inputs) => {
      const parts = inputs.map((_, i) => required(inputs, i));
      const sizes = parts.map((part) => part.shape.at(axis)!);
      const numbers = sizes.filter((size) => typeof size === "number");
      const dim: Dim = numbers.length === sizes.length ? numbers.reduce((sum, size) => sum + size, 0) : sizes.join("+");
      return [{ type: parts[0]!.type, shape: withDim(parts[0]!.shape, axis, dim) }];
    },
    gradient: ({ inputs, outputGrad }) => cut(outputGrad, inputs as readonly Value[], axis),
    isRecomputed: true,
  });
  return single(rule(values, { axis }));
}

/** `x` in pieces as long as `parts` are, along `axis`. */
function cut(x: Value, parts: readonly Value[], axis: number): Value[] {
  let start = int64Constant(x.graph, [0]);
  return parts.map((part) => {
    const at = normalizeAxis(axis, part.shape.length);
    const end = add(start, sizeOf(part, at));
    const piece = slice(x, axis, start, end, part.shape[at]!);
    start = end;
    return piece;
  });
}

/**
 * x[start:end] along `axis`; `start` ≥ 0 and `end` may be values of the graph;  dx has zeros around dy. ONNX Slice-13.
 */
export function slice(x: Value, axis: number, start: number | Value, end: number | Value, size: Dim): Value {
  const bound = (value: number | Value): Value => (typeof value === "number" ? int64Constant(x.graph, [value]) : value);
  const rule = defineOp("Slice", {
    infer: (inputs) => [{ type: required(inputs, 0).type, shape: withDim(required(inputs, 0).shape, axis, size) }],
    gradient: ({ inputs, outputGrad }) => [
      padBack(outputGrad, required(inputs, 0), required(inputs, 1), axis),
      null,
      null,
      null,
    ],
  });
  return single(rule([x, bound(start), bound(end), int64Constant(x.graph, [axis])]));
}

/** Zeros before and behind `part`, so that it lies at `start` in the size of `whole`. ONNX Pad-23. */
function padBack(part: Value, whole: Value, start: Value, axis: number): Value {
  const at = normalizeAxis(axis, whole.shape.length);
  const behind = sub(sub(sizeOf(whole, at), sizeOf(part, at)), start);
  const rule = defineOp("Pad", { infer: () => [{ type: part.type, shape: whole.shape }], gradient: null });
  const pads = concat([start, behind], 0); // [before, behind] of the one axis
  return single(rule([part, pads, null, int64Constant(part.graph, [at])], { mode: "constant" }));
}

/** Sizes of `x` from dimension `start` up to `end`, as int64 [end − start]. ONNX Shape-21. */
export function sizes(x: Value, start: number, end: number): Value {
  const rule = defineOp("Shape", { infer: () => [{ type: "int64", shape: [end - start] }], gradient: null });
  return single(rule([x], { start, end }));
}

/**
 * The shape of `x`, int64 [rank], from the graph's inputs where they have its dimensions: `x` itself would be held until it is
 * asked how large it is, which on the way back is long after it was made.
 */
export function shapeOf(x: Value): Value {
  const dims = x.shape.filter((dim) => typeof dim === "number");
  if (dims.length === x.shape.length) return int64Constant(x.graph, dims);
  return concat(
    x.shape.map((_, axis) => sizeOf(x, axis)),
    0,
  );
}

/** Size of dimension `axis`, int64 [1], as shapeOf has it. */
function sizeOf(x: Value, axis: number): Value {
  const dim = x.shape[axis]!;
  if (typeof dim === "number") return int64Constant(x.graph, [dim]);
  const known = knownSizes.get(x.graph) ?? new Map<string, Value>();
  knownSizes.set(x.graph, known);
  const size = known.get(dim) ?? fromInputs(x.graph, dim) ?? sizes(x, axis, axis + 1);
  known.set(dim, size);
  return size;
}
const knownSizes = new WeakMap<Graph, Map<string, Value>>();

/** Size of a symbolic dimension, or null where no input has one of its symbols. */
function fromInputs(graph: Graph, dim: string): Value | null {
  const term = (name: string): Value | null => {
    if (/^\d+$/.test(name)) return int64Constant(graph, [Number(name)]);
    const input = graph.inputs.find(({ shape }) => shape.includes(name));
    return input ? sizes(input, input.shape.indexOf(name), input.shape.indexOf(name) + 1) : null;
  };
  const joined = (op: typeof add) => (a: Value | null, b: Value | null) => a && b && op(a, b);
  return evaluateDim(dim, term, joined(add), joined(mul));
}

/** int64 [1], a 0 that is computed of `other`: what it is added to is there no sooner than `other`, and is no constant. */
export function zeroAfter(other: Value): Value {
  const zero = zeros.get(other) ?? mul(sizes(other, 0, 1), int64Constant(other.graph, [0]));
  zeros.set(other, zero);
  return zero;
}
const zeros = new WeakMap<Value, Value>();

/** A new dimension of size 1 at `axis`. ONNX Unsqueeze-21. */
export function unsqueeze(x: Value, axis: number): Value {
  const shape = x.shape.toSpliced(axis, 0, 1);
  const rule = defineOp("Unsqueeze", {
    infer: (inputs) => [{ type: required(inputs, 0).type, shape }],
    gradient: ({ inputs, outputGrad }) => [reshapeLike(outputGrad, required(inputs, 0)), null],
  });
  return single(rule([x, int64Constant(x.graph, [axis])]));
}

/** 0, 1, … up to `limit` (int64, one element), exclusive. ONNX Range-11. */
export function range(limit: Value, dim: Dim): Value {
  const { graph } = limit;
  const scalar = defineOp("Squeeze", {
    infer: (inputs) => [{ type: required(inputs, 0).type, shape: [] }],
    gradient: null,
  });
  const rule = defineOp("Range", { infer: () => [{ type: "int64", shape: [dim] }], gradient: null });
  return single(rule([int64Constant(graph, [0], []), single(scalar([limit])), int64Constant(graph, [1], [])]));
}

/** Repeats `x` to the sizes in `target` (int64), which are `shape`;  dx sums over the copies. ONNX Expand-13. */
export function expandTo(x: Value, target: Value, shape: Shape): Value {
  const rule = defineOp("Expand", {
    infer: (inputs) => [{ type: required(inputs, 0).type, shape }],
    gradient: ({ outputGrad }) => [outputGrad, null],
  });
  return single(rule([x, target]));
}
