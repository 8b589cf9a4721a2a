import { float32Constant, type Graph, type Value } from "../graph.ts";
import { log, max, sub } from "../ops/elementwise.ts";
import { reduceMax } from "../ops/reduce.ts";

/** Below every share that is the largest of its row, above the 0 of a row without any. */
const leastShare = 1e-30;

/**
 * log Σ e^x behind softmax(x) as max x − log max softmax(x), the largest share being e^(max x) / Σ e^x: the runtime finds two
 * maxima many times faster than it sums exponents again. The sum over no numbers stays −∞.
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
    const largest = max(reduceMax(share, -1), float32Constant(graph, [leastShare], []));
    sub(reduceMax(x, -1), log(largest));
    graph.nodes.push({ ...graph.nodes.pop()!, outputs: node.outputs });
  }
}
