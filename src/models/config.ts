import { isDeepStrictEqual } from "node:util";
import { ModelError } from "../errors.ts";
import { isJsonObject, type JsonObject } from "../files/json.ts";

/** Plain JSON of a config.json, keys as in the checkpoint. */
export type ConfigJson = JsonObject;

/** How positions turn into angles. */
export interface RotaryConfig {
  readonly base: number;
  /** Angle per position of each pair of a head, [headDim / 2], radians; scaling already applied. */
  readonly inverseFrequencies: readonly number[];
  /** Pairs are (x_2i, x_2i+1) instead of (x_i, x_i+headDim/2): GGUF's llama weights are permuted to that order. */
  readonly interleaved: boolean;
}

export type Activation = "relu" | "gelu" | "geluTanh" | "silu";

/** What GGUF says of rotary positions beyond config.json's keys, under `gguf_rope`, which no file of JSON may have. */
export interface GgufRope {
  /** Whether a pair's two numbers lie beside each other. */
  readonly interleaved: boolean;
  /** A divisor for each frequency, in the place of a scaling. */
  readonly factors?: readonly number[];
}

/** What every decoder has, in our names. */
export interface DecoderConfig {
  readonly modelType: string;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly vocabSize: number;
  /** Longest sequence that the weights give the reference's numbers for, in tokens. */
  readonly maxPositions: number;
  readonly normEps: number;
  readonly activation: Activation;
  readonly rotary: RotaryConfig | null;
  /** The file's own JSON, for keys only one architecture has. */
  readonly json: ConfigJson;
  /** Where the JSON came from, for error messages. */
  readonly source: string;
}

const fail = (source: string, message: string): never => {
  throw new ModelError("config", `${source}: ${message}`);
};

/** A whole number over 0 that the config must have. */
export function readSize(json: ConfigJson, key: string, source: string, fallback?: number): number {
  const value = json[key] ?? fallback;
  if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
  return fail(source, `"${key}" is ${JSON.stringify(value)}, but must be a whole number over 0.`);
}

export function readNumber(json: ConfigJson, key: string, source: string, fallback?: number): number {
  const value = json[key] ?? fallback;
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
  return fail(source, `"${key}" is ${JSON.stringify(value)}, but must be a number over 0.`);
}

/** The config may leave a key out, or say one of the values that we compute; anything else changes the mathematics. */
export function expectValue(json: ConfigJson, key: string, allowed: readonly unknown[], source: string): void {
  if (key in json && !allowed.includes(json[key] ?? null)) {
    fail(
      source,
      `"${key}": ${JSON.stringify(json[key])} is not supported; supported: ${allowed.map((v) => JSON.stringify(v)).join(", ")}.`,
    );
  }
}

/** Some embedding models were made of decoders by letting every token see all others. */
export const expectCausal = (json: ConfigJson, source: string): void =>
  expectValue(json, "is_causal", [true, null], source);

const activations: Record<string, Activation> = {
  relu: "relu",
  gelu: "gelu",
  gelu_new: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
  silu: "silu",
  swish: "silu",
};

export function readActivation(value: unknown, source: string): Activation {
  const activation = typeof value === "string" && Object.hasOwn(activations, value) ? activations[value] : undefined;
  return (
    activation ??
    fail(source, `activation ${JSON.stringify(value)} is unknown; known: ${Object.keys(activations).join(", ")}.`)
  );
}

/** Fields that LLaMA and its kin share, under the names they share. */
export function rotaryDecoderConfig(json: ConfigJson, source: string): DecoderConfig {
  const hiddenSize = readSize(json, "hidden_size", source);
  const numHeads = readSize(json, "num_attention_heads", source);
  const numKeyValueHeads = readSize(json, "num_key_value_heads", source, numHeads);
  const headDim = readSize(json, "head_dim", source, hiddenSize / numHeads);
  if (numHeads % numKeyValueHeads !== 0) {
    fail(source, `num_attention_heads ${numHeads} is not a multiple of num_key_value_heads ${numKeyValueHeads}.`);
  }
  const maxPositions = readSize(json, "max_position_embeddings", source);
  expectCausal(json, source);
  return {
    modelType: String(json.model_type),
    hiddenSize,
    numLayers: readSize(json, "num_hidden_layers", source),
    numHeads,
    numKeyValueHeads,
    headDim,
    intermediateSize: readSize(json, "intermediate_size", source),
    vocabSize: readSize(json, "vocab_size", source),
    maxPositions: Math.min(maxPositions, slidingWindow(json, source) ?? maxPositions),
    normEps: readNumber(json, "rms_norm_eps", source),
    activation: readActivation(json.hidden_act ?? "silu", source),
    rotary: readRotary(json, headDim, source),
    json,
    source,
  };
}

/** Up to the window's length sliding attention is full attention, so the window only bounds the sequence. */
function slidingWindow(json: ConfigJson, source: string): number | null {
  const isOff = json.use_sliding_window === false && /^qwen/.test(String(json.model_type)); // a key of theirs
  if (isOff || (json.sliding_window ?? null) === null) return null;
  return readSize(json, "sliding_window", source);
}

/**
 * Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (older).
 * @see transformers/modeling_rope_utils.py for the scaling rules `linear` and `llama3`
 */
function readRotary(json: ConfigJson, headDim: number, source: string): RotaryConfig {
  if (headDim % 2 !== 0) fail(source, `head_dim ${headDim} is odd; rotary positions need pairs.`);
  expectValue(json, "partial_rotary_factor", [1, null], source);
  const scaling = readScaling(json, source);
  const base = readNumber({ rope_theta: scaling.rope_theta ?? json.rope_theta ?? 10_000 }, "rope_theta", source);
  const plain = Array.from({ length: headDim / 2 }, (_, i) => base ** ((-2 * i) / headDim));
  const { factors, interleaved = false } = (json.gguf_rope ?? {}) as Partial<GgufRope>;
  const inverseFrequencies = factors
    ? plain.map((frequency, i) => frequency / factors[i]!)
    : scaleFrequencies(plain, scaling, json, source);
  return { base, inverseFrequencies, interleaved };
}

/** Of two keys that say the same, neither may say something else: versions of transformers choose differently. */
function readScaling(json: ConfigJson, source: string): ConfigJson {
  const { rope_parameters: own, rope_scaling: older, original_max_position_embeddings: positions } = json;
  for (const [key, value] of Object.entries({ rope_parameters: own, rope_scaling: older })) {
    if (!isJsonObject(value ?? {})) fail(source, `"${key}" is ${JSON.stringify(value)}, but must be an object.`);
  }
  const scaling = (own ?? older ?? {}) as ConfigJson;
  const differ = (one: unknown, other: unknown): boolean =>
    ![one, other].some((value) => (value ?? null) === null) && !isDeepStrictEqual(one, other);
  const advice = "differ. Leave one of them out.";
  if (differ(own, older)) fail(source, `"rope_parameters" and rope_scaling ${advice}`);
  if (differ(positions, scaling.original_max_position_embeddings)) {
    fail(source, `"original_max_position_embeddings" and that of the scaling ${advice}`);
  }
  return scaling;
}

function scaleFrequencies(plain: number[], scaling: ConfigJson, json: ConfigJson, source: string): number[] {
  const type = scaling.rope_type ?? scaling.type ?? "default";
  if (type === "default") return plain;
  const factor = type === "linear" || type === "llama3" ? readNumber(scaling, "factor", `${source}, rope scaling`) : 1;
  if (type === "linear") return plain.map((frequency) => frequency / factor);
  if (type !== "llama3") {
    return fail(source, `rope scaling ${JSON.stringify(type)} is not supported; supported: default, linear, llama3.`);
  }
  const low = readNumber(scaling, "low_freq_factor", source);
  const high = readNumber(scaling, "high_freq_factor", source);
  const original = readSize(
    {
      original_max_position_embeddings:
        scaling.original_max_position_embeddings ?? json.original_max_position_embeddings,
    },
    "original_max_position_embeddings",
    source,
  );
  return plain.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength > original / low) return frequency / factor;
    if (wavelength < original / high) return frequency;
    const smooth = (original / wavelength - low) / (high - low);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}
