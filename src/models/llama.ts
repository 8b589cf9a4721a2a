import { add } from "../graph/ops/elementwise.ts";
import type { Architecture } from "./architecture.ts";
import { selfAttention } from "./attention.ts";
import { type DecoderConfig, expectValue, rotaryDecoderConfig } from "./config.ts";
import { embedding, linear } from "./linear.ts";
import { gatedMlp } from "./mlp.ts";
import { rmsNorm } from "./norm.ts";
import type { Weights } from "./weights.ts";

/** LLaMA: pre-norm decoder, rotary positions, SwiGLU, RMSNorm, grouped heads (arXiv 2302.13971, 2307.09288). */
export const llama: Architecture = {
  modelType: "llama",
  transformersClass: "LlamaModel",
  readConfig(json, source) {
    expectValue(json, "pretraining_tp", [1, null], source);
    return rotaryDecoderConfig(json, source);
  },
  embed: (weights, { inputIds }, config) =>
    embedding(weights.at("embed_tokens"), inputIds, config.vocabSize, config.hiddenSize),
  layerScope: (i) => `layers.${i}`,
  layer(weights, hidden, context, config) {
    const normed = rmsNorm(weights.at("input_layernorm"), hidden, config.normEps);
    const attended = selfAttention(weights.at("self_attn"), normed, context, config);
    const residual = add(context.queries(hidden), attended);
    const inner = rmsNorm(weights.at("post_attention_layernorm"), residual, config.normEps);
    return add(residual, gatedMlp(weights.at("mlp"), inner, config));
  },
  smoothing: () => [
    {
      linears: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
      from: ["input_layernorm.weight"],
    },
    { linears: ["mlp.gate_proj", "mlp.up_proj"], from: ["post_attention_layernorm.weight"] },
    { linears: ["mlp.down_proj"], from: ["mlp.up_proj.weight", "mlp.up_proj.bias"] },
  ],
  finalNorm: (weights, hidden, config) => rmsNorm(weights.at("norm"), hidden, config.normEps),
  withoutFinalNorm: () => null,
  nextToken: (weights, embedding, config) =>
    linear(weights.at(isTied(weights, config) ? "embed_tokens" : "lm_head"), embedding, config.vocabSize),
};

/** Whether the token embeddings are the output's weights too; checkpoints that leave lm_head out mean that. */
const isTied = (weights: Weights, { json }: DecoderConfig): boolean =>
  json.tie_word_embeddings !== false && !weights.has("lm_head.weight");
