import { ModelError } from "../errors.ts";
import { readFloats } from "../files/float-tensors.ts";
import type { TensorIndex } from "../files/tensor-index.ts";
import type { ConfigJson, GgufRope } from "./config.ts";

export type GgufMetadata = Readonly<Record<string, unknown>>;

/** GGUF's module names and transformers'; both are followed by `.weight` or `.bias`. */
const modules: Record<string, string> = {
  token_embd: "embed_tokens",
  output_norm: "norm",
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** `blk.3.attn_q.weight` -> `layers.3.self_attn.q_proj.weight`; null for tensors no embedding needs. */
export function ggufTensorName(name: string): string | null {
  const match = /^(?:blk\.(\d+)\.)?([a-z_]+)\.(weight|bias)$/.exec(name);
  const module = match && Object.hasOwn(modules, match[2]!) ? modules[match[2]!] : undefined;
  if (!match || !module) return null;
  return `${match[1] === undefined ? "" : `layers.${match[1]}.`}${module}.${match[3]}`;
}

const ggufModules = new Map(Object.entries(modules).map(([gguf, module]) => [module, gguf]));

/** The way back, with the output weights that only generating needs; null for what no GGUF file holds. */
export function ggufNameOf(name: string): string | null {
  if (name === "lm_head.weight") return "output.weight";
  const match = /^(?:layers\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name);
  const module = match && ggufModules.get(match[2]!);
  return module ? `${match[1] === undefined ? "" : `blk.${match[1]}.`}${module}.${match[3]}` : null;
}

/** `general.architecture` of a model type, as convert_hf_to_gguf.py writes it: mistral's graph is llama's. */
export const ggufArchitectures: ReadonlyMap<string, string> = new Map([
  ["llama", "llama"],
  ["mistral", "llama"],
  ["qwen2", "qwen2"],
  ["qwen3", "qwen3"],
]);

/** `general.architecture` of the GGUF files we read: where its rotary pairs lie, by llama.cpp's convert_hf_to_gguf.py. */
export const ropeInterleaved: Readonly<Record<string, boolean>> = {
  llama: true,
  mistral: true,
  qwen2: false,
  qwen3: false,
};

/**
 * GGUF metadata as the config.json the architectures read.
 * @see the GGUF specification (ggml, docs/gguf.md) for the keys
 */
export async function ggufConfig(metadata: GgufMetadata, tensors: TensorIndex, source: string): Promise<ConfigJson> {
  const modelType = metadata["general.architecture"];
  if (typeof modelType !== "string" || !Object.hasOwn(ropeInterleaved, modelType)) {
    throw new ModelError(
      "architecture",
      `${source}: GGUF architecture ${JSON.stringify(modelType)} is not known; known: ${Object.keys(ropeInterleaved).join(", ")}.`,
    );
  }
  const key = (name: string): unknown => metadata[`${modelType}.${name}`];
  const vocabSize = tensors.get("token_embd.weight")?.shape[0];
  const headDim = key("attention.key_length") ?? Number(key("embedding_length")) / Number(key("attention.head_count"));
  if ((key("rope.dimension_count") ?? headDim) !== headDim) {
    throw new ModelError(
      "config",
      `${source}: rope.dimension_count ${key("rope.dimension_count")} is not the head's ${headDim}.`,
    );
  }
  const divisors = tensors.get("rope_freqs.weight"); // how llama3's scaling comes
  const factors = divisors && Array.from(await readFloats(divisors));
  return {
    model_type: modelType,
    hidden_size: key("embedding_length"),
    num_hidden_layers: key("block_count"),
    num_attention_heads: key("attention.head_count"),
    num_key_value_heads: key("attention.head_count_kv") ?? key("attention.head_count"),
    head_dim: headDim,
    intermediate_size: key("feed_forward_length"),
    vocab_size: vocabSize,
    max_position_embeddings: key("context_length"),
    rms_norm_eps: key("attention.layer_norm_rms_epsilon"),
    hidden_act: "silu",
    sliding_window: key("attention.sliding_window") ?? null,
    is_causal: key("attention.causal") ?? true,
    rope_theta: key("rope.freq_base") ?? 10_000,
    rope_scaling: factors ? undefined : ropeScaling(key, source),
    gguf_rope: { interleaved: ropeInterleaved[modelType]!, ...(factors ? { factors } : {}) } satisfies GgufRope,
    tie_word_embeddings: !tensors.has("output.weight"),
  };
}

function ropeScaling(key: (name: string) => unknown, source: string): ConfigJson {
  const factor = key("rope.scaling.factor") ?? key("rope.scale_linear"); // the older name
  const type = key("rope.scaling.type") ?? (factor === undefined ? "none" : "linear"); // as llama.cpp takes it
  if (type === "none") return { rope_type: "default" };
  if (type === "linear") return { rope_type: "linear", factor };
  throw new ModelError(
    "config",
    `${source}: rope scaling ${JSON.stringify(type)} is not supported; supported: none, linear.`,
  );
}
