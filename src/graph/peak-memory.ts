import { InternalError } from "../errors.ts";
import type { ElementType, Graph, Node, Value } from "./graph.ts";
import { type Dim, evaluateDim } from "./shape.ts";

const elementBytes: Record<ElementType, number> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  uint8: 1,
  int8: 1,
  bool: 1,
};

/** Operators whose output is their first input under another shape. */
const views = new Set(["Reshape", "Identity", "Squeeze", "Unsqueeze"]);

/**
 * Most bytes of nodes' outputs that are there at one time in a run, each from the node that makes it to the last one that
 * reads it; the graph's own outputs stay. Inputs and weights are not in it.
 * @param sizes  of the symbolic dimensions
 * @throws InternalError "graph" for a dimension without a size
 */
export function peakBytes(graph: Graph, sizes: Readonly<Record<string, number>>): number {
  const nodes = runtimeOrder(graph);
  const held = new Map<Value, Value>(); // a view and what it is a view of
  const ends = new Map<Value, number>();
  nodes.forEach(({ type, inputs, outputs }, at) => {
    const [source] = inputs;
    if (views.has(type) && source) held.set(outputs[0]!, held.get(source) ?? source);
    for (const input of inputs) if (input) ends.set(held.get(input) ?? input, at);
  });
  for (const output of graph.outputs) ends.set(held.get(output) ?? output, nodes.length);
  const freedAt = new Map<number, number>();
  let [live, peak] = [0, 0];
  nodes.forEach(({ outputs }, at) => {
    for (const output of outputs.filter((value) => !held.has(value))) {
      const bytes = output.shape.reduce<number>((size, dim) => size * sizeOf(dim, sizes), elementBytes[output.type]);
      const end = ends.get(output) ?? at;
      freedAt.set(end, (freedAt.get(end) ?? 0) + bytes);
      live += bytes;
    }
    peak = Math.max(peak, live);
    live -= freedAt.get(at) ?? 0;
  });
  return peak;
}

/** The order of ONNX Runtime's sequential executor: depth first from the outputs back, of two inputs the younger node first. */
function runtimeOrder(graph: Graph): Node[] {
  const places = new Map<Value, number>();
  graph.nodes.forEach(({ outputs }, at) => {
    for (const output of outputs) places.set(output, at);
  });
  const producers = (values: readonly (Value | null)[]): number[] =>
    values.flatMap((value) => (value && places.get(value)) ?? []).sort((a, b) => a - b);
  const order: Node[] = [];
  const seen = new Set<number>();
  const stack = producers(graph.outputs).map((at) => ({ at, isDone: false }));
  for (let entry = stack.pop(); entry; entry = stack.pop()) {
    const { at, isDone } = entry;
    if (isDone) order.push(graph.nodes[at]!);
    else if (!seen.has(at)) {
      seen.add(at);
      stack.push(
        { at, isDone: true },
        ...producers(graph.nodes[at]!.inputs).map((next) => ({ at: next, isDone: false })),
      );
    }
  }
  return order;
}

/** Size of a dimension whose symbols have sizes. */
function sizeOf(dim: Dim, sizes: Readonly<Record<string, number>>): number {
  if (typeof dim === "number") return dim;
  const term = (name: string): number => {
    const size = /^\d+$/.test(name) ? Number(name) : sizes[name];
    if (size === undefined) throw new InternalError("graph", `dimension ${dim}: nobody said how large ${name} is.`);
    return size;
  };
  return evaluateDim(
    dim,
    term,
    (a, b) => a + b,
    (a, b) => a * b,
  );
}
