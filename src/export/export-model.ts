import { mkdir, open, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readAdapterRecipe } from "../embed/adapter-recipe.ts";
import { InputError } from "../errors.ts";
import { writeAtomically } from "../files/atomic.ts";
import { cacheFolder } from "../files/cache-folder.ts";
import { type HeldType, type LazyTensor, streamSafetensors } from "../files/float-tensors.ts";
import type { ModelFiles } from "../files/model-files.ts";
import { resolveModel } from "../files/resolve-model.ts";
import { readAdapter } from "../models/adapter-file.ts";
import { readDepth } from "../models/build.ts";
import { type OpenedCheckpoint, openCheckpoint } from "../models/checkpoint.ts";
import { findArchitecture } from "../models/registry.ts";
import { completeRecipe } from "../text/complete-recipe.ts";
import { ggufTokenizer } from "../text/gguf-tokenizer.ts";
import type { TokenizerPart } from "../text/pre-tokenizers.ts";
import { promptParts } from "../text/prompt-parts.ts";
import type { RecipeOptions } from "../text/recipe.ts";
import type { ExportFormat } from "./formats.ts";
import { hfConfig } from "./hf-config.ts";
import { mergedTensors } from "./merged-weights.ts";
import { sentenceTransformersFiles, templatedTokenizer } from "./sentence-transformers.ts";
import { completeTokenizerJson } from "./tokenizer-json.ts";

export interface ExportOptions {
  readonly model: string;
  readonly adapter?: string;
  readonly output: string;
  readonly format: ExportFormat;
  readonly dtype: "float16" | "float32";
  /** Wins over the adapter's own. */
  readonly recipe?: RecipeOptions;
  readonly offline?: boolean;
  readonly cacheDir?: string;
  readonly signal?: AbortSignal;
}

/**
 * Writes a model, with an adapter merged into its weights, for transformers or sentence-transformers. A recipe that reads an
 * earlier layer gives a model that ends there, its final norm without weights: vectors point where ours do, √hiddenSize long.
 * @throws InputError "bad-option" for a layer that is none; ModelError as load
 */
export async function exportModel(options: ExportOptions): Promise<void> {
  const { output, format, dtype, cacheDir, signal, offline } = options;
  const files = await resolveModel(options.model, {
    ...(offline === undefined ? {} : { offline }),
    ...(cacheDir === undefined ? {} : { cacheDir }),
    ...(signal ? { signal } : {}),
  });
  const adapter = options.adapter === undefined ? null : await readAdapter(options.adapter);
  const own = options.adapter === undefined ? {} : await readAdapterRecipe(options.adapter);
  const recipe = completeRecipe({ ...own, ...options.recipe }, { model: files.identity, precision: "float32" });
  const opened = await openCheckpoint(files, { precision: "float32", cacheFolder: cacheFolder(cacheDir), signal });
  const architecture = findArchitecture(opened.config, opened.configSource);
  const config = architecture.readConfig(opened.config, opened.configSource);
  const depth = readDepth(recipe.layer, config);
  if (depth === 0) throw new InputError("bad-option", "layer 0 is no model: choose a layer from 1.");
  const merged = mergedTensors(opened, architecture, config, adapter, depth);
  const tensors = depth < config.numLayers ? withPlainNorm(merged) : merged;
  await mkdir(output, { recursive: true });
  await writeWeights(join(output, "model.safetensors"), tensors, dtype === "float32" ? "F32" : "F16");
  const json = await tokenizerJson(files, opened);
  const [parts, another] = promptParts(recipe);
  const written: Record<string, unknown> = { "config.json": hfConfig(config, depth, dtype) };
  if (format === "sentence-transformers") {
    if (another || !parts) throw new InputError("bad-recipe", "sentence-transformers takes one template, not several.");
    written["tokenizer.json"] = templatedTokenizer(json, parts, recipe.cleanUp);
    Object.assign(written, sentenceTransformersFiles(config.hiddenSize, config.maxPositions));
  } else written["tokenizer.json"] = json;
  written["tokenizer_config.json"] = {
    tokenizer_class: "PreTrainedTokenizerFast",
    model_max_length: config.maxPositions,
    padding_side: "right",
    pad_token: padToken(json), // any will do: padding is masked
  };
  for (const [name, contents] of Object.entries(written)) {
    await writeAtomically(join(output, name), `${JSON.stringify(contents, null, name === "tokenizer.json" ? 0 : 2)}\n`);
  }
}

/** A special token, which loaders that pad ask for. */
function padToken({ added_tokens: added }: TokenizerPart): string | null {
  const [first] = (added ?? []) as readonly { readonly content: string }[];
  return first?.content ?? null;
}

/** Final norms that only set the length, as cosines do not ask for it. */
function withPlainNorm(tensors: readonly LazyTensor[]): LazyTensor[] {
  const isFinalNorm = (name: string): boolean => /^(norm|decoder\.final_layer_norm)\.(weight|bias)$/.test(name);
  return tensors.map((tensor) => {
    if (!isFinalNorm(tensor.name)) return tensor;
    const value = tensor.name.endsWith("weight") ? 1 : 0;
    return { ...tensor, read: async () => new Float32Array(tensor.shape[0]!).fill(value) };
  });
}

async function writeWeights(file: string, tensors: readonly LazyTensor[], dtype: HeldType): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const handle = await open(file, "w");
  try {
    for await (const piece of streamSafetensors(tensors, dtype)) await handle.writeFile(piece);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function tokenizerJson(files: ModelFiles, opened: OpenedCheckpoint): Promise<TokenizerPart> {
  if (opened.ggufMetadata) return completeTokenizerJson(ggufTokenizer(opened.ggufMetadata, opened.configSource));
  if (files.tokenizer?.endsWith("tokenizer.json")) return JSON.parse(await readFile(files.tokenizer, "utf8"));
  throw new InputError("bad-option", `${files.name} has no tokenizer.json to export.`);
}
