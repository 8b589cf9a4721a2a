import { int64Constant, type Node, type Value } from "./graph.ts";
import { add, isFloat } from "./ops/elementwise.ts";
import { reshapeAsIs, zeroAfter } from "./ops/shape-ops.ts";

/**
 * Outputs of cheap operators a second time, for the way back: what it needs of them is not held from the way forward on, only
 * what they are made of. The second ones hang on a gradient, so that they are neither joined with the first ones nor run with
 * them.
 * @see Chen et al., Training Deep Nets with Sublinear Memory Cost, arXiv 1604.06174
 */
export class Recomputation {
  readonly #producers = new Map<Value, Node>();
  readonly #known = new Map<Value, Value>();

  constructor(nodes: readonly Node[]) {
    for (const node of nodes) for (const output of node.outputs) this.#producers.set(output, node);
  }

  /** `value` itself, or computed again as soon as `grad` is there. */
  again(value: Value, grad: Value): Value {
    const node = this.#producers.get(value);
    if (!node || !isWorthwhile(node, value) || grad.shape.length === 0) return value;
    const known = this.#known.get(value);
    if (known) return known;
    const inputs = node.inputs.map((input) => input && this.#input(input, grad));
    const { type, attributes, domain } = node;
    const output = { type: value.type, shape: value.shape };
    const [second] = value.graph.add(type, inputs, [output], attributes, { domain });
    this.#known.set(value, second!);
    return second!;
  }

  #input(input: Value, grad: Value): Value {
    const node = this.#producers.get(input);
    if (!node || isSmall(input)) return input; // without a node: a weight, or an input of the graph
    if (isWorthwhile(node, input)) return this.again(input, grad);
    const known = this.#known.get(input) ?? after(grad, input);
    this.#known.set(input, known);
    return known;
  }
}

const isWorthwhile = (node: Node, output: Value): boolean =>
  node.isRecomputed && isFloat(output.type) && !isSmall(output);

/** Of a size that does not grow with the batch. */
const isSmall = ({ shape }: Value): boolean => shape.every((dim) => typeof dim === "number");

/** The same numbers at the same place, but not before `grad` is there: a reshape to sizes that say "as it is". */
function after(grad: Value, value: Value): Value {
  const zeros = int64Constant(
    value.graph,
    value.shape.map(() => 0),
  );
  return reshapeAsIs(value, add(zeros, zeroAfter(grad)));
}
