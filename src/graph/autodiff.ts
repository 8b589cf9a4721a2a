import { InternalError } from "../errors.ts";
import { float32Constant, type Value } from "./graph.ts";
import { add, isFloat } from "./ops/elementwise.ts";
import { sumToShape } from "./ops/reduce.ts";
import { Recomputation } from "./recompute.ts";

/** A value, and the gradient of the loss by it. */
export interface Seed {
  readonly value: Value;
  readonly grad: Value;
}

/** The seed of a walk that starts at the loss itself, a scalar: dloss / dloss = 1. */
export const lossSeed = (loss: Value): Seed => ({ value: loss, grad: float32Constant(loss.graph, [1], []) });

/**
 * Adds to the graph the gradients of the loss by `parameters`: reverse-mode differentiation from the seeds back.
 * Every operator's rule says the gradient by its inputs; a broadcast is undone here, never in a rule. What is cheap is computed
 * again for a rule, see Recomputation. Gradients by what no parameter flows into, such as frozen weights, are nodes that nobody
 * reads: `prune` takes them away.
 * @returns one gradient for each parameter, of its shape
 * @throws InternalError "graph" where the way from a parameter to the loss leads through an operator that is not
 *   differentiable, and for a parameter that the loss does not depend on
 * @see Griewank and Walther, Evaluating Derivatives (2008), chapter 3
 */
export function differentiate(seeds: readonly Seed[], parameters: readonly Value[]): Value[] {
  const { graph } = seeds[0]!.value;
  const nodes = [...graph.nodes];
  const active = new Set(parameters); // values that a parameter flows into; whole numbers, such as sizes, are constants
  for (const { inputs, outputs } of nodes) {
    if (!inputs.some((input) => input && active.has(input))) continue;
    for (const output of outputs) if (isFloat(output.type)) active.add(output);
  }
  const grads = new Map<Value, Value>();
  const recomputation = new Recomputation(nodes);
  const accumulate = (value: Value, grad: Value): void => {
    const fitting = sumToShape(grad, value.shape);
    const known = grads.get(value);
    grads.set(value, known ? add(known, fitting) : fitting);
  };
  for (const { value, grad } of seeds) accumulate(value, grad);
  for (const { type, inputs, outputs, attributes, gradient } of nodes.toReversed()) {
    const output = outputs[0]!;
    const outputGrad = grads.get(output);
    if (!outputGrad || !active.has(output)) continue;
    if (!gradient) throw new InternalError("graph", `${type} is not differentiable, but a parameter flows through it.`);
    const again = <T extends Value | null>(value: T) => value && recomputation.again(value, outputGrad);
    const application = {
      inputs: inputs.map(again),
      output: recomputation.again(output, outputGrad),
      outputGrad,
      attributes,
    };
    gradient(application).forEach((grad, i) => {
      const input = inputs[i];
      if (grad && input && active.has(input)) accumulate(input, grad);
    });
  }
  return parameters.map((parameter) => {
    const grad = grads.get(parameter);
    if (!grad) throw new InternalError("graph", `the loss does not depend on "${parameter.name}".`);
    return grad;
  });
}
