import type { Value } from "../graph/graph.ts";
import { gelu, geluTanh, relu, silu } from "../graph/ops/activation.ts";
import { mul } from "../graph/ops/elementwise.ts";
import type { Activation, DecoderConfig } from "./config.ts";
import { linear } from "./linear.ts";
import type { Weights } from "./weights.ts";

const activations: Record<Activation, (x: Value) => Value> = { relu, gelu, geluTanh, silu };

/** down(act(gate(x)) ⊙ up(x)): SwiGLU when act is silu (arXiv 2002.05202). */
export function gatedMlp(weights: Weights, x: Value, config: DecoderConfig): Value {
  const act = activations[config.activation];
  const gate = act(linear(weights.at("gate_proj"), x, config.intermediateSize));
  const up = linear(weights.at("up_proj"), x, config.intermediateSize);
  return linear(weights.at("down_proj"), mul(gate, up), config.hiddenSize);
}

/** fc2(act(fc1(x))). */
export function mlp(weights: Weights, x: Value, config: DecoderConfig): Value {
  const inner = activations[config.activation](linear(weights.at("fc1"), x, config.intermediateSize));
  return linear(weights.at("fc2"), inner, config.hiddenSize);
}
