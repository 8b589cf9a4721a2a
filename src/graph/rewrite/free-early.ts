import type { Graph, Node, Value } from "../graph.ts";

/**
 * Orders the nodes that end in outputs so that the runtime computes each as early as it can, and so frees what it was made
 * of: the runtime walks back from the last such node first, and would else go all the way down to the lowest layer's
 * gradient while it holds what the other gradients need.
 * @see ONNX Runtime, core/graph/graph_viewer.cc: ReverseDFSFrom over the leaf nodes
 */
export function freeEarly(graph: Graph): void {
  const read = new Set<Value | null>(graph.nodes.flatMap(({ inputs }) => inputs));
  const isLast = ({ outputs }: Node): boolean => !outputs.some((output) => read.has(output));
  const named = new Set(graph.nodes.filter(isLast)); // Identity nodes, which the runtime takes away
  const sources = new Set([...named].flatMap(({ inputs }) => inputs));
  const others = graph.nodes.filter((node) => !named.has(node));
  const readByOthers = new Set<Value | null>(others.flatMap(({ inputs }) => inputs));
  const ends = others.filter(({ outputs: [output] }) => sources.has(output!) && !readByOthers.has(output!));
  const moved = new Set(ends);
  const rest = others.filter((node) => !moved.has(node));
  graph.nodes.splice(0, graph.nodes.length, ...rest, ...ends.reverse(), ...named);
}
