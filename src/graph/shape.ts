import { InternalError } from "../errors.ts";

/** A size known when the graph is written, or the name of one known when it runs (`tokens`, `batch`, `batch*length`). */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** Product of dimensions; symbols stay symbols, in alphabetical order, so that equal products are equal strings. */
export function product(dims: Shape): Dim {
  let size = 1;
  const symbols: string[] = [];
  for (const dim of dims) {
    if (typeof dim === "number") size *= dim;
    else {
      for (const factor of dim.split("*")) {
        if (/^\d+$/.test(factor)) size *= Number(factor);
        else symbols.push(factor);
      }
    }
  }
  if (symbols.length === 0) return size;
  return (size === 1 ? symbols : [String(size), ...symbols]).sort().join("*");
}

/**
 * What a symbolic dimension is: a product of sums of numbers and symbols, such as `3*batch*prefix+length`.
 * @param term  of a number or a symbol
 */
export function evaluateDim<T>(
  dim: string,
  term: (name: string) => T,
  add: (a: T, b: T) => T,
  mul: (a: T, b: T) => T,
): T {
  const sums = dim.split("*").map((factor) => factor.split("+").map(term).reduce(add));
  return sums.reduce(mul);
}

/** Shape of an element-wise result by ONNX's (NumPy's) rule: right-aligned, 1 stretches. */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  const at = (shape: Shape, i: number): Dim => shape[i - (rank - shape.length)] ?? 1;
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [at(a, i), at(b, i)];
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    throw new InternalError("graph", `shapes [${a}] and [${b}] do not broadcast: ${x} against ${y} in dimension ${i}.`);
  });
}

/** Index of `axis` counted from the front. */
export function normalizeAxis(axis: number, rank: number): number {
  const index = axis < 0 ? axis + rank : axis;
  if (index < 0 || index >= rank) throw new InternalError("graph", `axis ${axis} is outside a tensor of rank ${rank}.`);
  return index;
}

/** `shape` with the dimension at `axis` replaced. */
export function withDim(shape: Shape, axis: number, dim: Dim): Shape {
  return shape.with(normalizeAxis(axis, shape.length), dim);
}
