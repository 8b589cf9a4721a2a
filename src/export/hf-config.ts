import { ModelError } from "../errors.ts";
import type { Architecture } from "../models/architecture.ts";
import type { ConfigJson, DecoderConfig, GgufRope } from "../models/config.ts";

/** config.json for transformers, of a model whose tensors are those of the base class. */
export function hfConfig(
  config: DecoderConfig,
  { transformersClass }: Architecture,
  depth: number,
  dtype: "float16" | "float32",
): ConfigJson {
  const { gguf_rope, rope_scaling, dtype: original, ...rest } = config.json; // dtype would win over torch_dtype
  if ((gguf_rope as GgufRope | undefined)?.factors) {
    throw new ModelError("config", `${config.source}: rotary factors of a GGUF file cannot be written to config.json.`);
  }
  const isPlain = rope_scaling === undefined || (rope_scaling as ConfigJson | null)?.rope_type === "default";
  const layerTypes = Array.isArray(rest.layer_types) ? { layer_types: rest.layer_types.slice(0, depth) } : {};
  return {
    ...rest,
    ...layerTypes,
    ...(isPlain ? {} : { rope_scaling }),
    architectures: [transformersClass],
    num_hidden_layers: depth,
    torch_dtype: dtype,
  };
}
