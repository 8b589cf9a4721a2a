import type { Graph, Value } from "../graph.ts";
import { log, sub } from "../ops/elementwise.ts";
import { reduceMax } from "../ops/reduce.ts";

/**
 * log Σ e^x behind softmax(x) as max x − log max softmax(x), the largest share being e^(max x) / Σ e^x: the runtime finds two
 * maxima many times faster than it sums exponents again.
 */
export function logSumFromShares(graph: Graph): void {
  const shares = new Map<Value, Value>();
  for (const node of graph.nodes.splice(0)) {
    const [x, output] = [node.inputs[0]!, node.outputs[0]!];
    const share = node.type === "ReduceLogSumExp" ? shares.get(x) : undefined;
    if (node.type === "Softmax") shares.set(x, output);
    if (!share) {
      graph.nodes.push(node);
      continue;
    }
    sub(reduceMax(x, -1), log(reduceMax(share, -1)));
    graph.nodes.push({ ...graph.nodes.pop()!, outputs: node.outputs });
  }
}
