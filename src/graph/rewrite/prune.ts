import type { Graph, Node, Value } from "../graph.ts";

/** Takes away what no output of the graph needs: nodes, and the weights and constants that only they read. */
export function prune(graph: Graph): void {
  const needed = new Set<Value>(graph.outputs);
  const kept: Node[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    kept.push(node);
    for (const input of node.inputs) if (input) needed.add(input);
  }
  graph.nodes.splice(0, graph.nodes.length, ...kept.reverse());
  for (const [name, { value }] of graph.initializers) if (!needed.has(value)) graph.initializers.delete(name);
}
