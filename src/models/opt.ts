import { ModelError } from "../errors.ts";
import { int64Constant } from "../graph/graph.ts";
import { add } from "../graph/ops/elementwise.ts";
import type { Architecture } from "./architecture.ts";
import { selfAttention } from "./attention.ts";
import { type ConfigJson, type DecoderConfig, expectCausal, expectValue, readActivation, readSize } from "./config.ts";
import { embedding, linear } from "./linear.ts";
import { mlp } from "./mlp.ts";
import { layerNorm } from "./norm.ts";

const positionOffset = 2; // fairseq reserved rows 0 and 1 of OPT's position table; the checkpoints still carry them

/** OPT: learned positions, biases everywhere, LayerNorm before each block, or after it in the 350m form (arXiv 2205.01068). */
export const opt: Architecture = {
  modelType: "opt",
  transformersClass: "OPTModel",
  readConfig: optConfig,
  embed(weights, { inputIds, positionIds }, config) {
    const decoder = weights.at("decoder");
    const width = embeddingWidth(config);
    const words = embedding(decoder.at("embed_tokens"), inputIds, config.vocabSize, width);
    const projected = width === config.hiddenSize ? words : linear(decoder.at("project_in"), words, config.hiddenSize);
    const rows = config.maxPositions + positionOffset;
    const positions = add(positionIds, int64Constant(positionIds.graph, [positionOffset]));
    return add(projected, embedding(decoder.at("embed_positions"), positions, rows, config.hiddenSize));
  },
  layerScope: (i) => `decoder.layers.${i}`,
  layer(weights, hidden, context, config) {
    const normBefore = config.json.do_layer_norm_before !== false;
    const attentionNorm = weights.at("self_attn_layer_norm");
    const mlpNorm = weights.at("final_layer_norm");
    const entering = normBefore ? layerNorm(attentionNorm, hidden, config.normEps) : hidden;
    const attended = selfAttention(weights.at("self_attn"), entering, context, config, "out_proj");
    const sum = add(context.queries(hidden), attended);
    const residual = normBefore ? sum : layerNorm(attentionNorm, sum, config.normEps);
    const output = add(
      residual,
      mlp(weights, normBefore ? layerNorm(mlpNorm, residual, config.normEps) : residual, config),
    );
    return normBefore ? output : layerNorm(mlpNorm, output, config.normEps);
  },
  smoothing(config) {
    const normBefore = config.json.do_layer_norm_before !== false; // after it, the norm's output is the residual too
    const norms = [
      {
        linears: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        from: ["self_attn_layer_norm.weight", "self_attn_layer_norm.bias"],
      },
      { linears: ["fc1"], from: ["final_layer_norm.weight", "final_layer_norm.bias"] },
    ];
    const relu = [{ linears: ["fc2"], from: ["fc1.weight", "fc1.bias"] }]; // relu(x / s) = relu(x) / s
    return [...(normBefore ? norms : []), ...(config.activation === "relu" ? relu : [])];
  },
  finalNorm(weights, hidden, config) {
    const decoder = weights.at("decoder");
    const hasNorm = config.json.do_layer_norm_before !== false && config.json._remove_final_layer_norm !== true;
    const normed = hasNorm ? layerNorm(decoder.at("final_layer_norm"), hidden, config.normEps) : hidden;
    const width = embeddingWidth(config);
    return width === config.hiddenSize ? normed : linear(decoder.at("project_out"), normed, width);
  },
  withoutFinalNorm(config) {
    if (embeddingWidth(config) === config.hiddenSize) return { _remove_final_layer_norm: true };
    throw new ModelError(
      "config",
      `${config.source}: the layers end in a projection, which would follow on an earlier one too. Export the whole model.`,
    );
  },
  nextToken: (weights, embedding, config) => linear(weights.at("decoder.embed_tokens"), embedding, config.vocabSize),
};

const embeddingWidth = (config: DecoderConfig): number =>
  readSize(config.json, "word_embed_proj_dim", config.source, config.hiddenSize);

function optConfig(json: ConfigJson, source: string): DecoderConfig {
  expectCausal(json, source);
  expectValue(json, "enable_bias", [true], source);
  expectValue(json, "layer_norm_elementwise_affine", [true], source);
  const hiddenSize = readSize(json, "hidden_size", source);
  const numHeads = readSize(json, "num_attention_heads", source);
  return {
    modelType: "opt",
    hiddenSize,
    numLayers: readSize(json, "num_hidden_layers", source),
    numHeads,
    numKeyValueHeads: numHeads,
    headDim: readSize({ head_dim: hiddenSize / numHeads }, "head_dim", source),
    intermediateSize: readSize(json, "ffn_dim", source),
    vocabSize: readSize(json, "vocab_size", source),
    maxPositions: readSize(json, "max_position_embeddings", source),
    normEps: 1e-5, // torch.nn.LayerNorm's default; OPT's config has no key for it
    activation: readActivation(json.activation_function ?? "relu", source),
    rotary: null,
    json,
    source,
  };
}
