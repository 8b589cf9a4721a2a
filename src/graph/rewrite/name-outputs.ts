import type { Graph, Value } from "../graph.ts";

/** Gives the results of the graph their names where they are computed, instead of copying them under the name. */
export function nameOutputs(graph: Graph): void {
  const computed = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  const named = new Map<Value, Value>();
  const results = new Set(graph.outputs);
  const nodes = graph.nodes.filter(({ type, inputs: [from], outputs: [to] }) => {
    if (type !== "Identity" || !results.has(to!) || !computed.has(from!) || named.has(from!)) return true;
    named.set(from!, to!);
    return false;
  });
  const rename = <T extends Value | null>(value: T): T => ((value && named.get(value)) ?? value) as T;
  graph.nodes.splice(
    0,
    graph.nodes.length,
    ...nodes.map((node) => ({ ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) })),
  );
}
