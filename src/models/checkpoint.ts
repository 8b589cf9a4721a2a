import { createHash } from "node:crypto";
import { readFile, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { InternalError, ModelError } from "../errors.ts";
import { readGguf } from "../files/gguf.ts";
import { type JsonProblem, readJsonObject } from "../files/json.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { readSafetensors, readSafetensorsIndex } from "../files/safetensors.ts";
import type { FloatType, TensorEntry, TensorIndex } from "../files/tensor-index.ts";
import type { Precision } from "../text/recipe.ts";
import type { Adapter } from "./adapter-file.ts";
import type { ConfigJson } from "./config.ts";
import { type DeriveOptions, deriveWeights } from "./derived-weights.ts";
import { type GgufMetadata, ggufConfig, ggufTensorName } from "./gguf-model.ts";
import { addedByAdapter } from "./merge-adapter.ts";
import { findArchitecture } from "./registry.ts";
import { smoothingFactors } from "./smoothing.ts";
import type { LowRank, Rescale } from "./weight-fill.ts";
import { floatTypes, type WeightForm } from "./weight-plan.ts";
import type { Checkpoint, StoredTensor } from "./weights.ts";

export interface OpenOptions extends Pick<DeriveOptions, "onProgress" | "signal" | "threads"> {
  readonly precision: Precision;
  /** Root of the package's cache. */
  readonly cacheFolder: string;
  /** Whether int8 weights may be signed; see multipliesSignedWeights. */
  readonly signedWeights?: boolean;
  /** Added to the linear weights before they are quantised, as int8 weights are from floats. */
  readonly merged?: Adapter | undefined;
  /** The weights are for a training graph: int8 rounds them as they are, since gradients meet inputs that nothing rescales. */
  readonly isTrained?: boolean;
  /**
   * Needed for int8 unless it is trained on. Runs the model as it is stored over some text: the largest |x| of each channel of
   * every linear weight's input, by the weight's scope.
   */
  readonly measure?: (stored: OpenedCheckpoint) => Promise<ReadonlyMap<string, Float32Array>>;
}

export interface OpenedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly config: ConfigJson;
  /** Where the config came from, for error messages. */
  readonly configSource: string;
  /** Holds the vocabulary; null for a folder, which has tokenizer.json. */
  readonly ggufMetadata: GgufMetadata | null;
}

/** Reads what a model's files say about themselves; weights stay on disk. */
export async function openCheckpoint(files: ModelFiles, asked: OpenOptions): Promise<OpenedCheckpoint> {
  const source = await (files.weights.kind === "gguf" ? readGgufModel(files) : readFolder(files));
  const { entries, file, config, configSource, ggufMetadata } = source;
  const isUsable = staysInPlace(entries, asked.precision);
  // every session would widen 16 bits for itself, and training has two or three: they map one file of float32 instead
  const isWidened = isUsable && asked.isTrained === true && [...entries].some(isHalfMatrix);
  const options = isWidened ? { ...asked, precision: "float32" as const } : asked;
  const added = addedTo(source, options);
  const tensors =
    isUsable && !isWidened
      ? await inPlace(entries)
      : await deriveWeights(entries, {
          cacheFolder: options.cacheFolder,
          origin: await originOf(files, options),
          formOf: (entry, name) => formOf(entry, name, options),
          added,
          rescale: isSmoothed(options) ? () => smoothed(files, options, source, added) : undefined,
          onProgress: options.onProgress,
          signal: options.signal,
          threads: options.threads,
        });
  const activations = options.precision === "float16" ? "float16" : "float32";
  return { checkpoint: { tensors, source: file, activations }, config, configSource, ggufMetadata };
}

const isSmoothed = ({ precision, isTrained }: OpenOptions): boolean => precision === "int8" && isTrained !== true;

const originOf = async (files: ModelFiles, options: OpenOptions): Promise<DeriveOptions["origin"]> => ({
  name: files.name,
  identity: files.identity,
  precision: options.precision,
  madeFrom: resolve(files.weights.file),
  variant: await variantOf(files, options),
});

async function variantOf(files: ModelFiles, options: OpenOptions): Promise<string> {
  if (options.precision === "int8" && !isSmoothed(options)) return "rows";
  const isUnsigned = isSmoothed(options) && options.signedWeights === false;
  const sides = isSmoothed(options) ? await digestOfSides(files) : "";
  return [isUnsigned ? "unsigned" : "", options.merged?.identity ?? "", sides].filter(Boolean).join(" ");
}

/** Of the files beside the weights, which smoothing follows from too: what the model makes of text. */
async function digestOfSides({ config, tokenizer, tokenizerConfig }: ModelFiles): Promise<string> {
  const merges = tokenizer && basename(tokenizer) === "vocab.json" ? join(dirname(tokenizer), "merges.txt") : undefined;
  const files = [config, tokenizer, merges, tokenizerConfig].filter((file) => file !== undefined);
  if (files.length === 0) return ""; // GGUF: they are in the file of weights
  const hash = createHash("sha256");
  for (const file of files) hash.update(await readFile(file)).update("\n");
  return hash.digest("hex").slice(0, 16);
}

/** What the files say, before the weights take their form. */
interface ModelSource {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly file: string;
  readonly config: ConfigJson;
  readonly configSource: string;
  readonly ggufMetadata: GgufMetadata | null;
}

async function readFolder(files: ModelFiles): Promise<ModelSource> {
  const { kind, file } = files.weights;
  if (!files.config) throw new ModelError("config", `${files.name}: config.json is missing beside ${file}.`);
  const index = await (kind === "safetensors" ? readSafetensors(file) : readSafetensorsIndex(file));
  const entries = renamed(index, (name) => name.replace(/^model\./, ""), file);
  const { gguf_rope: _, ...config } = await readJson(files.config);
  return { entries, file, config, configSource: files.config, ggufMetadata: null };
}

async function readGgufModel({ weights: { file } }: ModelFiles): Promise<ModelSource> {
  const { metadata, tensors } = await readGguf(file);
  const config = await ggufConfig(metadata, tensors, file);
  return { entries: renamed(tensors, ggufTensorName, file), file, config, configSource: file, ggufMetadata: metadata };
}

const isFloat = ({ type }: Pick<TensorEntry, "type">): boolean => type in floatTypes;

const isTable = (name: string): boolean => /(^|\.)embed_\w+\.weight$/.test(name);

const isHalfMatrix = ([name, { type, shape }]: readonly [string, TensorEntry]): boolean =>
  (type === "F16" || type === "BF16") && shape.length === 2 && !isTable(name);

function staysInPlace(entries: ReadonlyMap<string, TensorEntry>, precision: Precision): boolean {
  const all = [...entries.values()];
  if (precision === "float16")
    return all.every(({ type, shape }) => type === "F16" || (isFloat({ type }) && shape.length !== 2));
  return (precision === "stored" || precision === "float32") && all.every(isFloat);
}

/** Tables are read row by row, so 4-bit blocks would have to be unpacked; norms and biases are small. */
function formOf(entry: TensorEntry, name: string, options: OpenOptions): WeightForm {
  const { precision, signedWeights } = options;
  if (entry.shape.length !== 2) return "float32";
  if (precision === "float32") return isFloat(entry) && isTable(name) ? "raw" : "float32";
  if (precision === "float16") return entry.type === "F16" ? "raw" : "float16";
  if (isTable(name)) return isFloat(entry) ? "raw" : "byteBlocks";
  if (precision === "stored") return isFloat(entry) ? "raw" : "blocks";
  if (precision === "int4") return isFourBit(entry) ? "int4Blocks" : "int4";
  if (precision !== "int8") return precision;
  if (!isSmoothed(options)) return "int8Rows";
  return signedWeights === false ? "uint8" : "int8";
}

const isFourBit = ({ type }: TensorEntry): boolean => type.startsWith("Q4_");

/** What an adapter adds to the weights. @throws as checkPairs */
function addedTo(
  { entries, config, configSource }: ModelSource,
  { merged }: OpenOptions,
): ReadonlyMap<string, LowRank> | undefined {
  if (!merged) return undefined;
  return addedByAdapter(merged, entries, findArchitecture(config, configSource).readConfig(config, configSource));
}

/** Factors for int8, from a run of the model as it is stored. */
async function smoothed(
  files: ModelFiles,
  options: OpenOptions,
  { entries, config, configSource }: ModelSource,
  added: ReadonlyMap<string, LowRank> | undefined,
): Promise<ReadonlyMap<string, Rescale>> {
  const architecture = findArchitecture(config, configSource);
  const stored = await openCheckpoint(files, {
    ...options,
    precision: "stored",
    merged: undefined, // the measurement runs the adapter beside the weights
  });
  const maxima = await options.measure?.(stored);
  if (!maxima) throw new InternalError("runtime", "int8 weights need a measurement of the activations.");
  const decoder = architecture.readConfig(config, configSource);
  return smoothingFactors(entries, architecture, decoder, maxima, { ...options, added });
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
  const problem: JsonProblem = (what, cause) =>
    new ModelError("config", `${file}: ${what}. Download the model again.`, { cause });
  return readJsonObject(file, problem);
}
