import { toHalves } from "../../files/float-tensors.ts";
import type { Graph, Node, Value } from "../graph.ts";
import { cast, isFloat } from "../ops/elementwise.ts";
import { scaleEarly } from "./scale-early.ts";

/** Operators whose sums of squares or of exponentials pass float16's 65504, or need more than its 11 bits. */
const keptInFloat32: ReadonlySet<string> = new Set([
  "Softmax",
  "ReduceLogSumExp",
  "LayerNormalization",
  "RMSNormalization",
]);

/**
 * Turns a float32 graph into one that computes in float16, in place: whatever a weight or the past flows into, but for
 * norms, softmax and its sum. What follows from positions alone, masks and rotary angles, is computed in float32 and rounded where
 * it meets an activation: angles grow with the position. Inputs and outputs of the graph stay float32.
 */
export function computeInFloat16(graph: Graph): void {
  scaleEarly(graph);
  const casts = new HalfCasts(graph);
  const active = new Set<Value>(graph.inputs.filter(({ type }) => isFloat(type)));
  for (const { value, data } of graph.initializers.values())
    if (isFloat(value.type) && "file" in data) active.add(value);
  const results = new Set(graph.outputs);
  for (const node of graph.nodes.splice(0)) {
    const isActive = node.inputs.some((input) => input && active.has(input));
    const [output] = node.outputs as [Value];
    if (isActive && isFloat(output.type)) for (const value of node.outputs) active.add(value);
    if (!isActive || output.type !== "float32") graph.nodes.push(casts.withInputs(node, (value) => value));
    else if (results.has(output) || keptInFloat32.has(node.type)) graph.nodes.push(casts.withInputs(node, casts.wide));
    else if (node.type === "Cast") casts.replace(output, casts.half(node.inputs[0] as Value));
    else graph.nodes.push(casts.narrowed(node));
  }
}

/** What became of each value, and its form in the other float type where some node asked for it. */
class HalfCasts {
  readonly #graph: Graph;
  readonly #replaced = new Map<Value, Value>();
  readonly #casts = new Map<Value, Value>();

  constructor(graph: Graph) {
    this.#graph = graph;
  }

  replace(value: Value, by: Value): void {
    this.#replaced.set(value, by);
  }

  readonly half = (value: Value): Value => this.#as(value, "float16");
  readonly wide = (value: Value): Value => this.#as(value, "float32");

  withInputs(node: Node, form: (value: Value) => Value): Node {
    const inputs = node.inputs.map((input) => input && form(this.#replaced.get(input) ?? input));
    return { ...node, inputs };
  }

  /** The node with float16 in place of every float32. */
  narrowed(node: Node): Node {
    const outputs = node.outputs.map((value) => {
      if (value.type !== "float32") return value;
      const half: Value = { ...value, type: "float16" };
      this.replace(value, half);
      return half;
    });
    return { ...this.withInputs(node, this.half), outputs };
  }

  #as(original: Value, type: "float16" | "float32"): Value {
    const value = this.#replaced.get(original) ?? original;
    if (!isFloat(value.type) || value.type === type) return value;
    const known = this.#casts.get(value);
    if (known) return known;
    const other = this.#rounded(value, type) ?? cast(value, type);
    this.#casts.set(value, other);
    return other;
  }

  /** A constant of the graph needs no node. */
  #rounded(value: Value, type: "float16" | "float32"): Value | null {
    const data = this.#graph.initializers.get(value.name)?.data;
    if (!data || "file" in data || type !== "float16") return null;
    const floats = new Float32Array(data.bytes.slice().buffer);
    return this.#graph.constant("float16", value.shape as number[], new Uint8Array(toHalves(floats).buffer));
  }
}
