import { readFile, realpath } from "node:fs/promises";
import { join } from "node:path";
import { ModelError } from "../errors.ts";
import { readGguf } from "../files/gguf.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { readSafetensors, readSafetensorsIndex } from "../files/safetensors.ts";
import type { FloatType, TensorEntry, TensorIndex } from "../files/tensor-index.ts";
import type { Precision } from "../text/recipe.ts";
import type { ConfigJson } from "./config.ts";
import { type DeriveOptions, deriveWeights } from "./derived-weights.ts";
import { type GgufMetadata, ggufConfig, ggufTensorName } from "./gguf-model.ts";
import type { Checkpoint, StoredTensor } from "./weights.ts";

export interface OpenOptions extends Pick<DeriveOptions, "onProgress" | "signal"> {
  readonly precision: Precision;
  /** Root of the package's cache. */
  readonly cacheFolder: string;
}

export interface OpenedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly config: ConfigJson;
  /** Where the config came from, for error messages. */
  readonly configSource: string;
  /** Holds the vocabulary; null for a folder, which has tokenizer.json. */
  readonly ggufMetadata: GgufMetadata | null;
}

const floatTypes = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;

/** Reads what a model's files say about themselves; weights stay on disk. */
export async function openCheckpoint(files: ModelFiles, options: OpenOptions): Promise<OpenedCheckpoint> {
  return files.weights.kind === "gguf" ? openGguf(files, options) : openSafetensors(files);
}

async function openSafetensors(files: ModelFiles): Promise<OpenedCheckpoint> {
  const { kind, file } = files.weights;
  if (!files.config) throw new ModelError("config", `${files.name}: config.json is missing beside ${file}.`);
  const index = await (kind === "safetensors" ? readSafetensors(file) : readSafetensorsIndex(file));
  const entries = renamed(index, (name) => name.replace(/^model\./, ""), file);
  const config = await readJson(files.config);
  return {
    checkpoint: { tensors: await inPlace(entries), source: file },
    config,
    configSource: files.config,
    ggufMetadata: null,
  };
}

async function openGguf(files: ModelFiles, options: OpenOptions): Promise<OpenedCheckpoint> {
  const { file } = files.weights;
  const { metadata, tensors: index } = await readGguf(file);
  const config = await ggufConfig(metadata, index, file);
  const entries = renamed(index, ggufTensorName, file);
  const allFloat = [...entries.values()].every((entry) => entry.type in floatTypes);
  const tensors = allFloat
    ? await inPlace(entries)
    : await deriveWeights(entries, {
        folder: join(options.cacheFolder, "derived"),
        key: `${files.identity}\n${options.precision}`,
        precision: options.precision,
        isTable: (name) => name === "embed_tokens.weight",
        onProgress: options.onProgress,
        signal: options.signal,
      });
  return { checkpoint: { tensors, source: file }, config, configSource: file, ggufMetadata: metadata };
}

function renamed(
  index: TensorIndex,
  rename: (name: string) => string | null,
  source: string,
): Map<string, TensorEntry> {
  const entries = new Map<string, TensorEntry>();
  for (const entry of index.values()) {
    const name = rename(entry.name);
    if (name === null) continue;
    if (entries.has(name)) throw new ModelError("corrupt-file", `${source}: two tensors are both "${name}".`);
    entries.set(name, entry);
  }
  return entries;
}

/** Float tensors where they lie. Links are followed, since the runtime refuses weights that are linked from elsewhere. */
async function inPlace(entries: ReadonlyMap<string, TensorEntry>): Promise<Map<string, StoredTensor>> {
  const real = new Map<string, string>();
  for (const { file } of entries.values()) if (!real.has(file)) real.set(file, await realpath(file));
  return new Map(
    [...entries].map(([name, { type, shape, file, offset, length }]) => [
      name,
      { kind: "dense", type: floatTypes[type as FloatType], shape, file: real.get(file)!, offset, length },
    ]),
  );
}

async function readJson(file: string): Promise<ConfigJson> {
  try {
    const json: unknown = JSON.parse(await readFile(file, "utf8"));
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as ConfigJson;
  } catch (error) {
    if (!(error instanceof SyntaxError))
      throw new ModelError("config", `${file} cannot be read: ${(error as Error).message}`);
  }
  throw new ModelError("config", `${file} is not a JSON object. Download the model again.`);
}
