import type { Graph, Node, Value } from "../graph.ts";

/** Norms that the runtime has in one with the sum they read. */
const fused: Readonly<Record<string, string>> = {
  RMSNormalization: "SkipSimplifiedLayerNormalization",
  LayerNormalization: "SkipLayerNormalization",
};

/**
 * norm(a + b) as one operator that gives the sum, the residual, as well, instead of writing it and reading it again.
 * com.microsoft SkipSimplifiedLayerNormalization-1 and SkipLayerNormalization-1.
 */
export function fuseSkipNorm(graph: Graph): void {
  const { nodes } = graph;
  const sums = new Map<Value, number>();
  const gone = new Set<Node>();
  nodes.forEach((node, at) => {
    if (node.type === "Add" && isSumOfRows(node)) sums.set(node.outputs[0]!, at);
    const type = fused[node.type];
    const sumAt = type === undefined ? undefined : sums.get(node.inputs[0]!);
    if (!type || sumAt === undefined) return;
    const sum = node.inputs[0]!;
    sums.delete(sum); // it is given once
    if (nodes.slice(sumAt + 1, at).some(({ inputs }) => inputs.includes(sum))) return;
    gone.add(nodes[sumAt]!);
    nodes[at] = withSum(type, nodes[sumAt]!, node);
  });
  nodes.splice(0, nodes.length, ...nodes.filter((node) => !gone.has(node)));
}

/** Two values [tokens, hiddenSize] of one shape; nothing is stretched. */
function isSumOfRows({ inputs: [a, b] }: Node): boolean {
  return a!.shape.length === 2 && String(a!.shape) === String(b!.shape) && typeof a!.shape[1] === "number";
}

function withSum(type: string, add: Node, norm: Node): Node {
  const sum = add.outputs[0]!;
  const absent: Value = { ...sum, name: "" }; // mean and inverse, which only the CPU can give: DirectML would refuse the norm
  return {
    type,
    domain: "com.microsoft",
    inputs: [...add.inputs, ...norm.inputs.slice(1)],
    outputs: [norm.outputs[0]!, absent, absent, sum],
    attributes: { epsilon: norm.attributes.epsilon! },
    gradient: null,
    isRecomputed: false,
  };
}
