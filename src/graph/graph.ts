import { InternalError } from "../errors.ts";
import type { Dim, Shape } from "./shape.ts";

export type ElementType = "float32" | "float16" | "bfloat16" | "int64" | "int32" | "uint8" | "int8" | "bool";

/** TensorProto.DataType, onnx/onnx.proto. */
export const dataTypes: Readonly<Record<ElementType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
};

/** One tensor of a graph: an input, an initializer or a node's output. */
export interface Value {
  readonly graph: Graph;
  readonly name: string;
  readonly type: ElementType;
  readonly shape: Shape;
}

export type Attribute = number | string | readonly number[] | { readonly float: number };

export interface Node {
  readonly type: string;
  readonly domain: string;
  /** Null stands for an optional input that is left out. */
  readonly inputs: readonly (Value | null)[];
  readonly outputs: readonly Value[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** Null where the operator is not differentiable on purpose. */
  readonly gradient: Gradient | null;
  /** Whether the way back computes it again, rather than hold its output. */
  readonly isRecomputed: boolean;
}

/** One application of an operator, and the gradient of the loss by its output. */
export interface Application {
  readonly inputs: readonly (Value | null)[];
  readonly output: Value;
  readonly outputGrad: Value;
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/**
 * Gradients of the loss by each input, as graph; null for an input that has none, such as an index. A gradient may have
 * the output's shape where the input was broadcast: the reverse walk sums it up.
 */
export type Gradient = (application: Application) => readonly (Value | null)[];

/** Bytes of an initializer: in the graph, or in a file beside it. */
export type InitializerData =
  | { readonly bytes: Uint8Array }
  | { readonly file: string; readonly offset: number; readonly length: number };

export interface Initializer {
  readonly value: Value;
  readonly data: InitializerData;
}

/** What an output of a node will be. */
export interface OutputType {
  readonly type: ElementType;
  readonly shape: Shape;
}

export interface AddOptions {
  readonly domain?: string;
  readonly names?: readonly string[];
  readonly gradient?: Gradient | null;
  readonly isRecomputed?: boolean;
}

/** A symbolic graph under construction: nodes in the order they were added, which is an order they can run in. */
export class Graph {
  readonly nodes: Node[] = [];
  readonly inputs: Value[] = [];
  readonly outputs: Value[] = [];
  readonly initializers = new Map<string, Initializer>();
  #nextName = 0;

  input(name: string, type: ElementType, shape: Shape): Value {
    const value: Value = { graph: this, name, type, shape };
    this.inputs.push(value);
    return value;
  }

  /** Names `value` as a result of the graph. */
  output(value: Value, name: string): void {
    const [named] = this.add("Identity", [value], [{ type: value.type, shape: value.shape }], {}, { names: [name] });
    this.outputs.push(named as Value);
  }

  /** A weight that stays in its file. The same name gives the same value, so tied weights are one tensor. */
  weight(name: string, type: ElementType, shape: readonly number[], data: InitializerData): Value {
    const known = this.initializers.get(name);
    if (known) return known.value;
    const value: Value = { graph: this, name, type, shape };
    this.initializers.set(name, { value, data });
    return value;
  }

  /** A small constant inside the graph. */
  constant(type: ElementType, shape: readonly number[], bytes: Uint8Array): Value {
    return this.weight(`c${this.#nextName++}`, type, shape, { bytes });
  }

  add(
    type: string,
    inputs: readonly (Value | null)[],
    outputs: readonly OutputType[],
    attributes: Readonly<Record<string, Attribute>> = {},
    { domain = "", names = [], gradient = null, isRecomputed = false }: AddOptions = {},
  ): Value[] {
    const foreign = inputs.find((input) => input && input.graph !== this);
    if (foreign) throw new InternalError("graph", `${type}: input "${foreign.name}" belongs to another graph.`);
    const values = outputs.map(
      (output, i): Value => ({ graph: this, name: names[i] ?? `v${this.#nextName++}`, ...output }),
    );
    this.nodes.push({ type, domain, inputs, outputs: values, attributes, gradient, isRecomputed });
    return values;
  }
}

export function int64Constant(
  graph: Graph,
  values: readonly number[],
  shape: readonly number[] = [values.length],
): Value {
  return graph.constant("int64", shape, new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
}

export function float32Constant(
  graph: Graph,
  values: ArrayLike<number>,
  shape: readonly number[] = [values.length],
): Value {
  return graph.constant("float32", shape, new Uint8Array(Float32Array.from(values).buffer));
}

/** The size `dim` of a value, when it must be a number. */
export function fixed(dim: Dim | undefined, what: string): number {
  if (typeof dim !== "number") throw new InternalError("graph", `${what} must be a fixed size, not ${dim}.`);
  return dim;
}
