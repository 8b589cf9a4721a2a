import { float32Constant, type Value } from "../graph/graph.ts";
import { add, cast, div, mul, sqrt, sub } from "../graph/ops/elementwise.ts";
import { product } from "../graph/ops/matmul.ts";
import { reduceLogSumExp, reduceSum } from "../graph/ops/reduce.ts";
import { sizes, slice } from "../graph/ops/shape-ops.ts";

/**
 * InfoNCE over in-batch positives and all hard negatives of the batch; also known as multiple-negatives ranking loss.
 * loss_i = −log( e^{cos(h_i, c_i)/τ} / Σ_j e^{cos(h_i, c_j)/τ} ), averaged over i, where the first candidates are the
 * anchors' positives p_i = c_i and the rest hard negatives.
 * @param anchors      [pairs, hiddenSize], need not be normalised
 * @param candidates   [candidates, hiddenSize], likewise: a positive for each anchor in the same order, then any number of
 *                     hard negatives
 * @param temperature  τ > 0; 0.05 in the paper. UKPLab's `scale` is 1/τ.
 * @returns scalar, nats
 * @see SimCSE, arXiv 2104.08821, section 4 (supervised objective)
 */
export function infoNce(anchors: Value, candidates: Value, temperature: number): Value {
  const [pairs] = anchors.shape;
  const { graph } = anchors;
  const units = unitRows(candidates);
  const scaled = mul(unitRows(anchors), float32Constant(graph, [1 / temperature], []));
  const scores = product(scaled, units, { transB: true }); // [pairs, candidates]
  const positives = slice(units, 0, 0, sizes(anchors, 0, 1), pairs!); // [pairs, hiddenSize]
  const ownScores = reduceSum(mul(scaled, positives), 1); // [pairs]
  const losses = sub(reduceLogSumExp(scores, 1), ownScores);
  const count = cast(sizes(anchors, 0, 1), "float32"); // [1]
  return reduceSum(div(losses, count), 0);
}

/** Every row divided by its length. */
function unitRows(x: Value): Value {
  const tiny = float32Constant(x.graph, [1e-24], []); // a row of zeros stays one
  return div(x, sqrt(add(reduceSum(mul(x, x), 1, { keepDims: true }), tiny)));
}
