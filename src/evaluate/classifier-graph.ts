import { differentiate, lossSeed } from "../graph/autodiff.ts";
import { float32Constant, Graph, type Value } from "../graph/graph.ts";
import { add, div, mul, sqrt, sub } from "../graph/ops/elementwise.ts";
import { matmul } from "../graph/ops/matmul.ts";
import { reduceLogSumExp, reduceSum } from "../graph/ops/reduce.ts";
import { gather, reshape, unsqueeze } from "../graph/ops/shape-ops.ts";

/** Sizes of logistic regressions that are trained side by side. */
export interface ClassifierSizes {
  /** Training sets. */
  readonly problems: number;
  /** Regressions on each training set, one for each L2. */
  readonly penalties: number;
  readonly classes: number;
  /** Features of an example, with the constant 1 that stands for the bias. */
  readonly features: number;
  /** Rows of a batch. */
  readonly rows: number;
}

/** Adam with PyTorch's defaults (arXiv 1412.6980); PyTorch's `weight_decay` is the gradient of an L2 penalty, as here. */
export const adam = { beta1: 0.9, beta2: 0.999, learningRate: 1e-3, epsilon: 1e-8 };

/**
 * One step of softmax regression for every problem and penalty at once: cross-entropy, its gradient, L2, update.
 * Inputs: features [examples, features]; targets [examples, classes], one-hot; rows int32 [problems, rows]; weights
 * [problems, rows, 1], 1 / batch size or 0 for padding; penalties [1, 1, penalties · classes]; isActive [problems, 1, 1], 0
 * where a problem has no batch; bias1, bias2 [problems, 1, 1], 1 − βᵗ; parameters, mean, variance
 * [problems, features, penalties · classes]. Outputs: the last three after the step.
 */
export function trainingStepGraph(sizes: ClassifierSizes): Graph {
  const { problems, penalties, classes, features } = sizes;
  const graph = new Graph();
  const stateShape = [problems, features, penalties * classes];
  const [parameters, mean, variance] = ["parameters", "mean", "variance"].map((name) =>
    graph.input(name, "float32", stateShape),
  ) as [Value, Value, Value];
  const [isActive, bias1, bias2] = ["isActive", "bias1", "bias2"].map((name) =>
    graph.input(name, "float32", [problems, 1, 1]),
  ) as [Value, Value, Value];
  const l2 = graph.input("penalties", "float32", [1, 1, penalties * classes]);
  const [lossGradient] = differentiate([lossSeed(crossEntropy(graph, parameters, sizes))], [parameters]);
  const gradient = add(lossGradient!, mul(l2, parameters));
  const towards = (from: Value, to: Value, rate: number): Value =>
    add(from, mul(mul(sub(to, from), isActive), constant(graph, rate)));
  const nextMean = towards(mean, gradient, 1 - adam.beta1);
  const nextVariance = towards(variance, mul(gradient, gradient), 1 - adam.beta2);
  const scale = add(sqrt(div(nextVariance, bias2)), constant(graph, adam.epsilon));
  const step = div(mul(div(nextMean, bias1), constant(graph, adam.learningRate)), scale);
  graph.output(sub(parameters, mul(step, isActive)), "nextParameters");
  graph.output(nextMean, "nextMean");
  graph.output(nextVariance, "nextVariance");
  return graph;
}

/** Logits of the rows, [problems, rows, penalties · classes], from features, rows and parameters. */
export function logitsGraph({ problems, penalties, classes, features, rows }: ClassifierSizes): Graph {
  const graph = new Graph();
  const parameters = graph.input("parameters", "float32", [problems, features, penalties * classes]);
  graph.output(logitsOf(graph, parameters, { problems, penalties, classes, features, rows }).logits, "logits");
  return graph;
}

function logitsOf(graph: Graph, parameters: Value, { problems, features, rows }: ClassifierSizes) {
  const examples = graph.input("features", "float32", ["examples", features]);
  const rowIndex = graph.input("rows", "int32", [problems, rows]);
  return { rowIndex, logits: matmul(gather(examples, rowIndex), parameters) };
}

/** Σ over problems, penalties and rows of weight · (log Σ e^logit − logit of the target). */
function crossEntropy(graph: Graph, parameters: Value, sizes: ClassifierSizes): Value {
  const { problems, penalties, classes, rows } = sizes;
  const { rowIndex, logits } = logitsOf(graph, parameters, sizes);
  const targets = graph.input("targets", "float32", ["examples", classes]);
  const weights = graph.input("weights", "float32", [problems, rows, 1]);
  const grouped = reshape(logits, [problems, rows, penalties, classes]);
  const own = reduceSum(mul(grouped, unsqueeze(gather(targets, rowIndex), 2)), 3);
  const losses = mul(sub(reduceLogSumExp(grouped, 3), own), weights); // [problems, rows, penalties]
  return reduceSum(reduceSum(reduceSum(losses, 2), 1), 0);
}

const constant = (graph: Graph, value: number): Value => float32Constant(graph, [value], []);
