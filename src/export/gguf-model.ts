import { ModelError } from "../errors.ts";
import type { HeldType, LazyTensor } from "../files/float-tensors.ts";
import type { GgufTensor, GgufValue } from "../files/gguf-writer.ts";
import type { DecoderConfig } from "../models/config.ts";
import { ggufArchitectures, ggufNameOf, ropeInterleaved } from "../models/gguf-model.ts";
import { reorderHeads } from "../models/rope-order.ts";
import { scopeOf } from "./merged-weights.ts";

/** @throws ModelError "architecture" for a model that GGUF has no architecture for */
export function ggufArchitecture({ modelType, source }: DecoderConfig): string {
  const architecture = ggufArchitectures.get(modelType);
  if (architecture !== undefined) return architecture;
  const known = [...ggufArchitectures.keys()].join(", ");
  throw new ModelError(
    "architecture",
    `${source}: GGUF has no architecture for ${modelType}; it has for ${known}. Export safetensors.`,
  );
}

/** What a GGUF file's head says of the model. @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
export function ggufHead(name: string, config: DecoderConfig, depth: number, dtype: HeldType): Map<string, GgufValue> {
  const architecture = ggufArchitecture(config);
  const text = (value: string): GgufValue => ({ type: "string", value });
  const count = (value: number): GgufValue => ({ type: "uint32", value });
  const number = (value: number): GgufValue => ({ type: "float32", value });
  const own: Record<string, GgufValue> = {
    vocab_size: count(config.vocabSize),
    context_length: count(config.maxPositions),
    embedding_length: count(config.hiddenSize),
    block_count: count(depth),
    feed_forward_length: count(config.intermediateSize),
    "attention.head_count": count(config.numHeads),
    "attention.head_count_kv": count(config.numKeyValueHeads),
    "attention.key_length": count(config.headDim),
    "attention.value_length": count(config.headDim),
    "attention.layer_norm_rms_epsilon": number(config.normEps),
    "rope.dimension_count": count(config.headDim),
    "rope.freq_base": number(config.rotary!.base),
  };
  const divisors = ropeDivisors(config);
  if (isLinear(divisors)) {
    own["rope.scaling.type"] = text("linear");
    own["rope.scaling.factor"] = number(divisors[0]!);
  }
  return new Map([
    ["general.architecture", text(architecture)],
    ["general.type", text("model")],
    ["general.name", text(name)],
    ["general.file_type", count(dtype === "F32" ? 0 : 1)], // llama_ftype
    ...Object.entries(own).map(([key, value]) => [`${architecture}.${key}`, value] as const),
  ]);
}

/**
 * A model's tensors under GGUF's names and in its order of rotated heads: matrices in `dtype`, vectors in float32, as llama.cpp
 * wants them.
 * @param tensors  in transformers' order, under the names of its base class
 * @throws ModelError "config" for rotary scaling that the architecture's files cannot say
 */
export function ggufTensors(tensors: readonly LazyTensor[], config: DecoderConfig, dtype: HeldType): GgufTensor[] {
  const isInterleaved = ropeInterleaved[ggufArchitecture(config)]!;
  const renamed = tensors.flatMap((tensor): GgufTensor[] => {
    const name = ggufNameOf(tensor.name);
    if (name === null) return [];
    const { shape, read } = tensor;
    const isRotated = isInterleaved && /\.self_attn\.[qk]_proj$/.test(scopeOf(tensor.name));
    const reordered = async () => reorderHeads(await read(), shape[0]!, config.headDim, "gguf");
    return [{ name, shape, type: shape.length === 1 ? "F32" : dtype, read: isRotated ? reordered : read }];
  });
  const divisors = ropeDivisors(config);
  if (isLinear(divisors) || divisors.every((divisor) => divisor === 1)) return renamed;
  if (!isInterleaved) {
    throw new ModelError("config", `${config.source}: GGUF's ${config.modelType} has no such rope scaling.`);
  }
  const read = async () => Float32Array.from(divisors);
  return [{ name: "rope_freqs.weight", shape: [divisors.length], type: "F32", read }, ...renamed];
}

/** What scaling divides each rotary frequency by. */
function ropeDivisors({ rotary, headDim }: DecoderConfig): number[] {
  const { base, inverseFrequencies } = rotary!;
  return inverseFrequencies.map((frequency, i) => Math.fround(base ** ((-2 * i) / headDim) / frequency));
}

const isLinear = (divisors: readonly number[]): boolean =>
  divisors[0] !== 1 && divisors.every((divisor) => divisor === divisors[0]);
