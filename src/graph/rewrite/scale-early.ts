import { float32Constant, type Graph, type Node, type Value } from "../graph.ts";
import { mul } from "../ops/elementwise.ts";

/**
 * (a b) · s as (a · s) b for a constant s: a product that is scaled down afterwards may pass float16's range before. Where
 * the range is no matter, the other order lets the runtime scale within the product.
 */
export function scaleEarly(graph: Graph): void {
  const products = new Map<Value, Node>();
  const readers = new Map<Value, number>();
  for (const node of graph.nodes) {
    if (node.type === "MatMul") products.set(node.outputs[0]!, node);
    for (const input of node.inputs) if (input) readers.set(input, (readers.get(input) ?? 0) + 1);
  }
  const moved = new Set<Node>();
  for (const node of graph.nodes.splice(0)) {
    const product = node.type === "Mul" ? products.get(node.inputs[0]!) : undefined;
    const scale = product && scalarOf(graph, node.inputs[1]!);
    if (!product || scale === undefined || readers.get(product.outputs[0]!) !== 1) {
      graph.nodes.push(node);
      continue;
    }
    const [a, b] = product.inputs as readonly [Value, Value];
    const scaled = mul(a, float32Constant(graph, [scale], []));
    graph.nodes.push({ ...product, inputs: [scaled, b], outputs: node.outputs });
    moved.add(product);
  }
  graph.nodes.splice(0, graph.nodes.length, ...graph.nodes.filter((node) => !moved.has(node)));
}

/** A constant's one number; undefined for what is no constant of one number. */
function scalarOf(graph: Graph, value: Value): number | undefined {
  const data = graph.initializers.get(value.name)?.data;
  const isScalar = value.type === "float32" && value.shape.length === 0;
  return isScalar && data && "bytes" in data ? new Float32Array(data.bytes.slice().buffer)[0] : undefined;
}
