import { ModelError } from "../errors.ts";
import type { ConfigJson, DecoderConfig } from "../models/config.ts";

const classes: Readonly<Record<string, string>> = {
  llama: "LlamaModel",
  mistral: "MistralModel",
  opt: "OPTModel",
  qwen2: "Qwen2Model",
  qwen3: "Qwen3Model",
};

/** config.json for transformers, of a model whose tensors are those of the base class. */
export function hfConfig(config: DecoderConfig, depth: number, dtype: "float16" | "float32"): ConfigJson {
  const { rope_interleaved: _, rope_scaling, ...rest } = config.json;
  if ((rope_scaling as ConfigJson | undefined)?.rope_type === "factors") {
    throw new ModelError("config", `${config.source}: rotary factors of a GGUF file cannot be written to config.json.`);
  }
  const isPlain = rope_scaling === undefined || (rope_scaling as ConfigJson | null)?.rope_type === "default";
  return {
    ...rest,
    ...(isPlain ? {} : { rope_scaling }),
    architectures: [classes[config.modelType]],
    num_hidden_layers: depth,
    torch_dtype: dtype,
  };
}
