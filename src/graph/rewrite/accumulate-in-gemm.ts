import type { Graph, Node, Value } from "../graph.ts";

/**
 * a b + c as one Gemm: the product adds to what is there, where an Add would read and write the sum once more.
 * Sums of gradients by a shared input (q, k and v of one norm) and LoRA's two ways become chains of such products.
 */
export function accumulateInGemm(graph: Graph): void {
  const readers = new Map<Value, number>();
  for (const value of [...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs]) {
    if (value) readers.set(value, (readers.get(value) ?? 0) + 1);
  }
  const producers = new Map<Value, Node>();
  for (const node of graph.nodes) producers.set(node.outputs[0]!, node);
  const isFree = (value: Value): boolean => {
    const producer = producers.get(value);
    return producer?.type === "Gemm" && producer.inputs.length === 2 && readers.get(value) === 1;
  };
  const merged = new Set<Node>();
  graph.nodes.forEach((node, at) => {
    if (node.type !== "Add") return;
    const [a, b] = node.inputs as readonly [Value, Value];
    const [addend, free] = isFree(b) ? [a, b] : [b, a];
    if (!isFree(free) || String(a.shape) !== String(b.shape)) return;
    const gemm = producers.get(free)!;
    const sum: Node = { ...gemm, inputs: [...gemm.inputs, addend], outputs: node.outputs };
    merged.add(gemm);
    producers.set(node.outputs[0]!, sum);
    graph.nodes[at] = sum;
  });
  graph.nodes.splice(0, graph.nodes.length, ...graph.nodes.filter((node) => !merged.has(node)));
}
