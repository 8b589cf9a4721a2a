import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { adapterFolder, readAdapterRecipe } from "../embed/adapter-recipe.ts";
import { type LoadOptions, openTokenizer } from "../embed/load.ts";
import { InputError } from "../errors.ts";
import { writeAtomically } from "../files/atomic.ts";
import { cacheFolder } from "../files/cache-folder.ts";
import { type LazyTensor, readFloats, safetensorsPieces } from "../files/float-tensors.ts";
import { readGguf } from "../files/gguf.ts";
import { streamGguf } from "../files/gguf-writer.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { makeOutputFolder, openOutputFile } from "../files/output-file.ts";
import { resolveModel } from "../files/resolve-model.ts";
import { readAdapter } from "../models/adapter-file.ts";
import type { Architecture } from "../models/architecture.ts";
import { buildInferenceGraph, graphNames, readDepth } from "../models/build.ts";
import { type OpenedCheckpoint, openCheckpoint } from "../models/checkpoint.ts";
import type { DecoderConfig } from "../models/config.ts";
import { findArchitecture } from "../models/registry.ts";
import { completeRecipe } from "../text/complete-recipe.ts";
import { ggufTokenizer } from "../text/gguf-tokenizer.ts";
import type { TokenizerPart } from "../text/pre-tokenizers.ts";
import { fieldsBeyondPrompt, type PromptParts, promptParts } from "../text/prompt-parts.ts";
import type { Recipe, RecipeOptions } from "../text/recipe.ts";
import { loadTokenizer, readTokenizerJson } from "../text/tokenizer.ts";
import type { ExportFormat } from "./formats.ts";
import { ggufHead, ggufTensors } from "./gguf-model.ts";
import { copiedVocabulary, writtenVocabulary } from "./gguf-vocabulary.ts";
import { hfConfig } from "./hf-config.ts";
import { mergedTensors } from "./merged-weights.ts";
import { sentenceTransformersFiles, templatedTokenizer } from "./sentence-transformers.ts";
import { aroundText, completeTokenizerJson, tokensById } from "./tokenizer-json.ts";

export interface ExportOptions {
  readonly model: string;
  readonly adapter?: string | undefined;
  /** A folder; for GGUF a file. */
  readonly output: string;
  readonly format: ExportFormat;
  readonly dtype: "float16" | "float32";
  /** Wins over the adapter's own. */
  readonly recipe?: RecipeOptions | undefined;
  readonly offline?: boolean | undefined;
  readonly cacheDir?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: LoadOptions["onProgress"];
}

/**
 * Writes a model, with an adapter merged into its weights, for transformers, sentence-transformers or llama.cpp. A recipe that
 * reads an earlier layer gives a model that ends there, its final norm without weights: vectors point where ours do, √hiddenSize
 * long.
 * @throws InputError "bad-option" for a layer that is none, a GGUF file's name that is none, or an output where the model or the
 *   adapter is; "bad-recipe" for a prompt that
 *   sentence-transformers cannot make; ModelError as load, and for what GGUF cannot say
 */
export async function exportModel(options: ExportOptions): Promise<void> {
  const source = await openSource(options);
  await checkNothingIsLost(source, options);
  if (options.format === "gguf") await writeGguf(source, options);
  else await writeFolder(source, options);
}

/** @throws InputError "bad-option" where the model or the adapter itself would be written over */
async function checkNothingIsLost({ files, adapter }: ExportSource, { output, format }: ExportOptions): Promise<void> {
  const { kind, file } = files.weights;
  const own = format === "gguf" ? [file] : [...(kind === "gguf" ? [] : [dirname(file)]), ...(adapter ? [adapter] : [])];
  const placeOf = (path: string): Promise<string | null> => realpath(path).catch(() => null);
  const place = await placeOf(output);
  for (const source of own) {
    if (place === null || place !== (await placeOf(source))) continue;
    throw new InputError(
      "bad-option",
      `--output ${output}: what is to be exported is there itself. Choose another place.`,
    );
  }
}

/** A model to be exported, with what its recipe makes of it. */
interface ExportSource {
  readonly files: ModelFiles;
  /** Its folder. */
  readonly adapter: string | null;
  readonly opened: OpenedCheckpoint;
  readonly architecture: Architecture;
  readonly config: DecoderConfig;
  /** Layers that are kept. */
  readonly depth: number;
  readonly recipe: Recipe;
  readonly tensors: readonly LazyTensor[];
}

async function openSource(options: ExportOptions): Promise<ExportSource> {
  const { cacheDir, signal, offline, onProgress } = options;
  const files = await resolveModel(options.model, { offline, cacheDir, signal, onProgress });
  const folder = adapterFolder(files, options.adapter);
  const adapter = folder === null ? null : await readAdapter(folder);
  const own = folder === null ? {} : await readAdapterRecipe(folder);
  const recipe = completeRecipe({ ...own, ...options.recipe }, { model: files.identity, precision: "float32" });
  const opened = await openCheckpoint(files, {
    precision: "float32",
    cacheFolder: cacheFolder(cacheDir),
    onProgress,
    signal,
  });
  const architecture = findArchitecture(opened.config, opened.configSource);
  const config = architecture.readConfig(opened.config, opened.configSource);
  const depth = readDepth(recipe.layer, config);
  if (depth === 0) throw new InputError("bad-option", "layer 0 is no model: choose a layer from 1.");
  const merged = mergedTensors(opened, architecture, config, adapter, depth);
  const source = { files, adapter: folder, opened, architecture, depth, recipe };
  if (depth === config.numLayers) return { ...source, config, tensors: merged };
  const changes = architecture.withoutFinalNorm(config);
  if (!changes) return { ...source, config, tensors: merged.map(withPlainNorm) };
  const tensors = merged.filter(({ name }) => !isFinalNorm(name));
  return { ...source, config: { ...config, json: { ...config.json, ...changes } }, tensors };
}

/** @throws InputError "aborted" between two tensors */
async function writePieces(file: string, pieces: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
  const sink = await openOutputFile(file);
  try {
    for await (const piece of pieces) {
      if (signal?.aborted) throw new InputError("aborted", "stopped while the model was written; nothing was kept.");
      await sink.write(piece);
    }
    await sink.close();
  } finally {
    await sink.discard();
  }
}

async function writeFolder(source: ExportSource, { output, format, dtype, signal }: ExportOptions): Promise<void> {
  const { files, opened, architecture, config, depth, recipe, tensors } = source;
  const json = await tokenizerJson(files, opened);
  const written: Record<string, unknown> = {
    "config.json": hfConfig(config, architecture, depth, dtype),
    "tokenizer.json": json,
  };
  if (format === "sentence-transformers") {
    const tokenizer = await openTokenizer(files, opened);
    written["tokenizer.json"] = templatedTokenizer(json, tokenizer, onlyPrompt(recipe), recipe.cleanUp);
    const { graph } = buildInferenceGraph(architecture, config, opened.checkpoint, depth);
    const width = Number(graph.outputs.find(({ name }) => name === graphNames.embedding)!.shape[1]);
    Object.assign(written, sentenceTransformersFiles(width, config.maxPositions));
  }
  written["tokenizer_config.json"] = {
    tokenizer_class: "PreTrainedTokenizerFast",
    model_max_length: config.maxPositions,
    padding_side: "right",
    pad_token: padToken(json), // any will do: padding is masked
  };
  await makeOutputFolder(output);
  const pieces = safetensorsPieces(tensors, heldAs[dtype]);
  await writePieces(join(output, "model.safetensors"), pieces, signal);
  for (const [name, contents] of Object.entries(written)) {
    await writeAtomically(join(output, name), `${JSON.stringify(contents, null, name === "tokenizer.json" ? 0 : 2)}\n`);
  }
}

const heldAs = { float32: "F32", float16: "F16" } as const;

function onlyPrompt(recipe: Recipe): PromptParts {
  const beyond = fieldsBeyondPrompt(recipe);
  if (beyond.length > 0) {
    const advice = "Leave it out, and do it to the vectors afterwards.";
    throw new InputError(
      "bad-recipe",
      `sentence-transformers has no module for the recipe's ${beyond.join(", ")}. ${advice}`,
    );
  }
  const [parts, another] = promptParts(recipe);
  if (parts && !another && parts.echo === undefined && parts.beforePlaceholder === undefined) return parts;
  throw new InputError("bad-recipe", "sentence-transformers takes one template with the text in it once.");
}

async function writeGguf(source: ExportSource, { output, dtype, signal }: ExportOptions): Promise<void> {
  const { files, opened, config, depth, tensors } = source;
  if (!output.endsWith(".gguf")) {
    throw new InputError("bad-option", `--output ${output}: the name of a GGUF file ends in .gguf.`);
  }
  const held = heldAs[dtype];
  const name = basename(output, ".gguf");
  const head = new Map([...ggufHead(name, config, depth, held), ...(await vocabularyOf(files, opened, config))]);
  const all = [...tensors, ...(await ggufOutputWeights(files))];
  await writePieces(output, streamGguf(head, ggufTensors(all, config, held)), signal);
}

async function vocabularyOf(files: ModelFiles, opened: OpenedCheckpoint, config: DecoderConfig) {
  if (opened.ggufMetadata) return copiedVocabulary(opened.ggufMetadata);
  const json = await tokenizerJson(files, opened);
  const tokenizer = await openTokenizer(files, opened);
  const { vocabSize } = config;
  return writtenVocabulary({
    json,
    config: files.tokenizerConfig ? await readTokenizerJson(files.tokenizerConfig) : {},
    tokenizer,
    vocabSize,
    source: files.tokenizer!,
  });
}

/** The output weights of a GGUF file that has its own: embedding needs none, so a checkpoint leaves them out. */
async function ggufOutputWeights({ weights }: ModelFiles): Promise<LazyTensor[]> {
  const entry = weights.kind === "gguf" ? (await readGguf(weights.file)).tensors.get("output.weight") : undefined;
  return entry ? [{ name: "lm_head.weight", shape: entry.shape, read: () => readFloats(entry) }] : [];
}

/** A special token, which loaders that pad ask for. */
function padToken({ added_tokens: added }: TokenizerPart): string | null {
  const [first] = (added ?? []) as readonly { readonly content: string }[];
  return first?.content ?? null;
}

const isFinalNorm = (name: string): boolean => /^(norm|decoder\.final_layer_norm)\.(weight|bias)$/.test(name);

/** An RMSNorm that only sets the length, as cosines do not ask for it. */
const withPlainNorm = (tensor: LazyTensor): LazyTensor =>
  isFinalNorm(tensor.name) ? { ...tensor, read: async () => new Float32Array(tensor.shape[0]!).fill(1) } : tensor;

async function tokenizerJson(files: ModelFiles, opened: OpenedCheckpoint): Promise<TokenizerPart> {
  if (opened.ggufMetadata) return completeTokenizerJson(ggufTokenizer(opened.ggufMetadata, opened.configSource));
  if (files.tokenizer?.endsWith("tokenizer.json")) {
    const json = await readTokenizerJson(files.tokenizer);
    const [own, alone] = await Promise.all([openTokenizer(files, opened), loadTokenizer(files.tokenizer)]);
    if (String(own.bosIds) === String(alone.bosIds)) return json;
    // tokenizer_config.json, which stays behind, says another token in front
    return { ...json, post_processor: aroundText(own.bosIds, [], tokensById(json)) };
  }
  throw new InputError("bad-option", `${files.name} has no tokenizer.json to export.`);
}
