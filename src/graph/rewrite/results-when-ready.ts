import type { Graph, Node } from "../graph.ts";
import { nameOutputs } from "./name-outputs.ts";

/**
 * Has results that nothing reads, such as gradients by weights, computed as soon as they can be. The runtime goes back from the
 * last node without readers, and takes the ones before it when it is done: where nodes stand as they were added, it would walk all
 * the way back first and hold for every weight what its gradient is made of.
 */
export function resultsWhenReady(graph: Graph): void {
  nameOutputs(graph); // the runtime takes away nodes that only name a result, and what is left counts
  const read = new Set(graph.nodes.flatMap(({ inputs }) => inputs));
  const isResult = ({ outputs }: Node): boolean => outputs.every((output) => !read.has(output));
  const nodes = graph.nodes.splice(0);
  graph.nodes.push(...nodes.filter((node) => !isResult(node)), ...nodes.filter(isResult).reverse());
}
