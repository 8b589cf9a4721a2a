import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ModelError } from "../errors.ts";
import { writeAtomically } from "../files/atomic.ts";
import { type FloatTensor, readFloats, safetensorsPieces } from "../files/float-tensors.ts";
import { type JsonObject, type JsonProblem, readJsonObject } from "../files/json.ts";
import { replaceFile } from "../files/replace-file.ts";
import { readFloatSafetensors } from "../files/safetensors.ts";
import { type LoraTargets, loraNames } from "./lora.ts";

export const adapterConfigName = "adapter_config.json";
export const adapterWeightsName = "adapter_model.safetensors";

/** The part of a LoRA adapter's config that makes its function. */
export interface AdapterConfig {
  readonly rank: number;
  readonly alpha: number;
  /** Only while training. */
  readonly dropout: number;
  readonly targets: LoraTargets;
  readonly baseModel: string | null;
}

/** A LoRA pair in numbers; W' = W + scale · B A. */
export interface AdapterPair {
  /** [rank, in] */
  readonly a: FloatTensor;
  /** [out, rank] */
  readonly b: FloatTensor;
  readonly scale: number;
}

export interface Adapter {
  readonly folder: string;
  /** `sha256:` and the hash of its two files. */
  readonly identity: string;
  readonly config: AdapterConfig;
  /** By the scope of the linear weight, named as the architectures name it. */
  readonly pairs: ReadonlyMap<string, AdapterPair>;
}

type AdapterJson = JsonObject;

/** Options that change what an adapter does, and the values with which they do nothing that we do not. */
const plainValues: Readonly<Record<string, readonly unknown[]>> = {
  peft_type: ["LORA"],
  bias: ["none"],
  fan_in_fan_out: [false],
  use_dora: [false],
  use_qalora: [false],
  use_bdlora: [null, false],
  modules_to_save: [null],
  layer_replication: [null],
  lora_bias: [false],
  target_parameters: [null],
  trainable_token_indices: [null],
  alora_invocation_tokens: [null],
};

/**
 * Reads a LoRA adapter in PEFT's form: adapter_config.json and adapter_model.safetensors.
 * @throws ModelError "config" for an option that changes the function and that we do not compute, "weight-missing" and
 *   "weight-shape" for pairs that are not pairs, or where there is none; "unsupported-type" for one in other numbers than
 *   float32, float16 and bfloat16
 * @see peft 0.21, src/peft/tuners/lora/config.py
 */
export async function readAdapter(folder: string): Promise<Adapter> {
  const configFile = join(folder, adapterConfigName);
  const json = await readConfig(configFile);
  checkPlain(json, configFile);
  const rank = readPositive(json, "r", configFile);
  const alpha = readPositive(json, "lora_alpha", configFile);
  const tensors = await readFloatSafetensors(join(folder, adapterWeightsName));
  const found = new Map<string, { module: string; a?: FloatTensor; b?: FloatTensor }>();
  for (const entry of tensors.values()) {
    const match = /^base_model\.model\.((?:model\.)?(.+))\.lora_(A|B)(?:\.default)?\.weight$/.exec(entry.name);
    if (!match || entry.shape.length !== 2) {
      throw new ModelError("config", `${entry.file}: "${entry.name}" is no matrix of a LoRA pair on a linear weight.`);
    }
    const [, module, scope, part] = match as unknown as [string, string, string, "A" | "B"];
    if (scope === "lm_head") continue; // scores words, which no embedding asks for
    const names = loraNames(scope);
    const tensor = { name: part === "A" ? names.a : names.b, shape: entry.shape, values: await readFloats(entry) };
    found.set(scope, { ...found.get(scope), module, [part === "A" ? "a" : "b"]: tensor });
  }
  const pairs = new Map<string, AdapterPair>();
  const patterns = {
    rank: readPatterns(json, "rank_pattern", configFile),
    alpha: readPatterns(json, "alpha_pattern", configFile),
  };
  for (const [scope, { module, a, b }] of found) {
    if (!a || !b) throw new ModelError("weight-missing", `${folder}: "${scope}" has lora_${a ? "A" : "B"} alone.`);
    const own = patterns.rank(module) ?? rank;
    if (a.shape[0] !== own || b.shape[1] !== own) {
      throw new ModelError(
        "weight-shape",
        `${folder}: "${scope}" has A [${a.shape}] and B [${b.shape}], but ${adapterConfigName} says rank ${own}.`,
      );
    }
    const ownAlpha = patterns.alpha(module) ?? alpha;
    pairs.set(scope, { a, b, scale: ownAlpha / (json.use_rslora === true ? Math.sqrt(own) : own) });
  }
  if (pairs.size === 0) {
    throw new ModelError(
      "weight-missing",
      `${folder}: ${adapterWeightsName} has no LoRA pair for what makes embeddings.`,
    );
  }
  const targets = Array.isArray(json.target_modules) ? (json.target_modules as string[]) : [...pairs.keys()];
  const dropout = typeof json.lora_dropout === "number" ? json.lora_dropout : 0;
  const baseModel = typeof json.base_model_name_or_path === "string" ? json.base_model_name_or_path : null;
  const identity = await adapterIdentity(folder);
  return { folder, identity, config: { rank, alpha, dropout, targets, baseModel }, pairs };
}

/** Names an adapter by what its two files hold. */
export async function adapterIdentity(folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of [adapterConfigName, adapterWeightsName]) hash.update(await readFile(join(folder, name)));
  return `sha256:${hash.digest("hex")}`;
}

async function readConfig(file: string): Promise<AdapterJson> {
  const advice = `An adapter is a folder with ${adapterConfigName} and ${adapterWeightsName}.`;
  const problem: JsonProblem = (what, cause) => new ModelError("config", `${file}: ${what}. ${advice}`, { cause });
  return readJsonObject(file, problem);
}

/** Ways to begin, of which PEFT takes something off the base's weights whenever it loads an adapter. */
const changesBase = /^(pissa|olora|corda|loftq|lora_ga)/i;

function checkPlain(json: AdapterJson, file: string): void {
  if (changesBase.test(String(json.init_lora_weights))) {
    throw new ModelError(
      "config",
      `${file}: "init_lora_weights": ${JSON.stringify(json.init_lora_weights)} changes the base's weights, which is not supported. Convert it to a plain LoRA adapter with PEFT (save_pretrained with path_initial_model_for_weight_conversion).`,
    );
  }
  for (const [key, allowed] of Object.entries(plainValues)) {
    if (!(key in json) || allowed.includes(json[key])) continue;
    const isEmpty = typeof json[key] === "object" && Object.keys(json[key] ?? {}).length === 0;
    if (isEmpty) continue;
    throw new ModelError(
      "config",
      `${file}: "${key}": ${JSON.stringify(json[key])} is not supported; supported: ${allowed.map((value) => JSON.stringify(value)).join(", ")}.`,
    );
  }
}

function readPositive(json: AdapterJson, key: string, file: string): number {
  const value = json[key];
  if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
  throw new ModelError("config", `${file}: "${key}" is ${JSON.stringify(value)}, but must be a number over 0.`);
}

/**
 * Numbers of their own that some modules have: of the first key that ends a module's name, where a key may be a regular
 * expression.
 * @see peft 0.21, src/peft/utils/other.py, get_pattern_key
 */
function readPatterns(json: AdapterJson, name: string, file: string): (module: string) => number | undefined {
  const values = (json[name] ?? {}) as JsonObject;
  const patterns = Object.keys(values).map((key) => {
    const value = readPositive(values, key, `${file}, "${name}"`);
    try {
      return { expression: new RegExp(`^(?:.*\\.)?(?:${key})$`), value };
    } catch (cause) {
      throw new ModelError("config", `${file}: "${name}" has a key that is no regular expression here: ${key}.`, {
        cause,
      });
    }
  });
  return (module) => patterns.find(({ expression }) => expression.test(module))?.value;
}

/**
 * Writes an adapter in PEFT's form. The weights appear as a whole or not at all.
 * @param tensors  named as loraNames has them
 */
export async function writeAdapter(
  folder: string,
  config: AdapterConfig,
  tensors: readonly FloatTensor[],
  dtype: "F32" | "F16",
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const named = tensors.map((tensor) => ({ ...tensor, name: `base_model.model.${tensor.name}` }));
  await writeAtomically(join(folder, adapterConfigName), `${JSON.stringify(peftConfig(config, tensors), null, 2)}\n`);
  await replaceFile(join(folder, adapterWeightsName), safetensorsPieces(named, dtype));
}

/** The keys that PEFT's loader reads; what is left out has PEFT's default. */
function peftConfig(config: AdapterConfig, tensors: readonly FloatTensor[]): AdapterJson {
  const modules = new Set(
    tensors.map(
      ({ name }) =>
        name
          .replace(/\.lora_[AB]\.weight$/, "")
          .split(".")
          .at(-1)!,
    ),
  );
  return {
    peft_type: "LORA",
    task_type: "FEATURE_EXTRACTION",
    base_model_name_or_path: config.baseModel,
    r: config.rank,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    target_modules: [...modules].sort(),
    bias: "none",
    fan_in_fan_out: false,
    use_dora: false,
    use_rslora: false,
    init_lora_weights: true,
    inference_mode: true,
  };
}
