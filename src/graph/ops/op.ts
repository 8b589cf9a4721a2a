import { InternalError } from "../../errors.ts";
import type { Attribute, Gradient, OutputType, Value } from "../graph.ts";

export type Attributes = Readonly<Record<string, Attribute>>;

/** What the graph must know of an operator besides its name. */
export interface OpRule {
  /** Operator set; ONNX's own by default. */
  readonly domain?: string;
  /** Element type and shape of every output. Throws InternalError "graph" where the operator cannot be applied. */
  infer(inputs: readonly (Value | null)[], attributes: Attributes): readonly OutputType[];
  /** Null says "not differentiable" on purpose. */
  readonly gradient: Gradient | null;
  /** Cheap next to the memory of its output: the way back computes it again. See recompute.ts. */
  readonly isRecomputed?: boolean;
}

export type Op = (inputs: readonly (Value | null)[], attributes?: Attributes) => Value[];

/** Makes the function that adds one operator to the graph its inputs belong to. */
export function defineOp(type: string, rule: OpRule): Op {
  return (inputs, attributes = {}) => {
    const graph = inputs.find((input) => input !== null)?.graph;
    if (!graph) throw new InternalError("graph", `${type} has no input.`);
    const { gradient, isRecomputed = false, domain = "" } = rule;
    return graph.add(type, inputs, rule.infer(inputs, attributes), attributes, { gradient, isRecomputed, domain });
  };
}

/** The single output of an operator that has one. */
export function single(values: readonly Value[]): Value {
  if (values.length !== 1) throw new InternalError("graph", `expected one output, got ${values.length}.`);
  return values[0] as Value;
}

/** Input `i`, which the operator cannot do without. */
export function required(inputs: readonly (Value | null)[], i: number): Value {
  const input = inputs[i];
  if (!input) throw new InternalError("graph", `input ${i} is missing.`);
  return input;
}

/** Shape rule of operators whose output is like their first input. */
export const sameAsFirst: OpRule["infer"] = (inputs) => [
  { type: required(inputs, 0).type, shape: required(inputs, 0).shape },
];
