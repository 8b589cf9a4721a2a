import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { InputError, ModelError } from "../errors.ts";
import { cacheFolder } from "./cache-folder.ts";
import { findInCache, findInHubCache, folderFiles, shardFiles } from "./cached-models.ts";
import { sha256OfFile } from "./checksum.ts";
import { defaultModel, modelNotFound, packagedIdentity, parseModelId } from "./known-models.ts";
import type { ModelFiles } from "./model-files.ts";

export interface FetchProgress {
  readonly file: string;
  readonly receivedBytes: number;
  /** Absent where nobody says. */
  readonly totalBytes?: number;
}

export interface ResolveOptions {
  /** Never touch the network; also ONEWORD_OFFLINE=1 or HF_HUB_OFFLINE=1. */
  readonly offline?: boolean | undefined;
  /** Root of the cache, see cacheFolder. */
  readonly cacheDir?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: FetchProgress) => void) | undefined;
  /** How long the hub may take to begin an answer; 3000 by default. A download that pauses ten times as long is cut. */
  readonly answerTimeoutMs?: number | undefined;
}

/**
 * Finds a model's files: a local path, the own cache, the Hugging Face cache, and last the network.
 * @param name  a known name, a folder, a .gguf file or a hub id (owner/name, with @revision or without)
 * @throws ModelError "model-not-found", "offline" where the network would be needed, "download", "checksum",
 *   "corrupt-file"; CapacityError "disk-full"; InputError "aborted"
 */
export async function resolveModel(name: string, options: ResolveOptions = {}): Promise<ModelFiles> {
  if (options.signal?.aborted) throw new InputError("aborted", "stopped before the model was looked for.");
  const local = await findLocal(name, options);
  if (local) return local;
  const id = parseModelId(name);
  if (!id) throw modelNotFound(name);
  const root = cacheFolder(options.cacheDir);
  const { files, damage } = await findInCache(id.key, root);
  const found = files ?? (await findInHubCache(id));
  if (found) return { ...found, name };
  if (isOffline(options)) throw offlineError(name, root, damage);
  const { fetchModel } = await import("./fetch-model.ts"); // only who fetches pays for the libraries that do it
  return { ...(await fetchModel(id, options)), name };
}

/** Whether the network is off, by the option or by the environment. */
export function isOffline({ offline }: ResolveOptions): boolean {
  const { ONEWORD_OFFLINE, HF_HUB_OFFLINE } = process.env;
  return offline === true || [ONEWORD_OFFLINE, HF_HUB_OFFLINE].some((value) => /^(1|true|yes|on)$/i.test(value ?? ""));
}

function offlineError(name: string, root: string, damage: string | undefined): ModelError {
  const advice = `Run "oneword pull ${name}" with the network, or give a path.`;
  if (damage)
    return new ModelError("corrupt-file", `${name}: ${damage}; offline it cannot be fetched again. ${advice}`);
  return new ModelError(
    "offline",
    `${name} is not on this machine (looked in ${root} and the Hugging Face cache), and the network is off. ${advice}`,
  );
}

async function findLocal(name: string, options: ResolveOptions): Promise<ModelFiles | null> {
  const path = resolve(name);
  const found = name.trim() === "" ? null : await stat(path).catch(() => null);
  if (!found) return null;
  const isAlsoName = parseModelId(name) !== null;
  if (found.isDirectory()) {
    const parts = await folderFiles(path, name);
    if (!parts && isAlsoName && !(await isOfModel(path))) return null;
    if (!parts) throw await noWeights(path);
    if (!parts.config && parts.weights.kind !== "gguf") {
      throw new ModelError("config", `${path}: config.json is missing. Copy it from where the weights came from.`);
    }
    return { ...parts, source: "path", identity: await localIdentity(parts.weights, options) };
  }
  if (!/\.gguf$/i.test(name)) {
    if (isAlsoName && !modelFile.test(name)) return null;
    const advice = "For safetensors give the folder, which also holds config.json and tokenizer.json.";
    throw new ModelError("model-not-found", `${path} is no .gguf file. ${advice}`);
  }
  const weights = { kind: "gguf", file: path } as const;
  return { name, source: "path", weights, identity: await localIdentity(weights, options) };
}

/** Names of files that are a model's or a part of it: what is beside them is no hub id by chance. */
const modelFile = /(^|[\\/])(config\.json|[^\\/]*\.(safetensors|bin|pt|pth))$/i;

const isOfModel = async (folder: string): Promise<boolean> =>
  (await readdir(folder)).some((name) => modelFile.test(name));

async function noWeights(folder: string): Promise<ModelError> {
  const names = await readdir(folder);
  const advice = names.some((name) => /^pytorch_model.*\.bin/.test(name))
    ? "It has pytorch_model.bin, which is not read: save the model as safetensors (save_pretrained does)."
    : "A model's folder has config.json, tokenizer.json and the weights.";
  return new ModelError(
    "model-not-found",
    `${folder} holds no model.safetensors, no model.safetensors.index.json and no .gguf file. ${advice}`,
  );
}

/** sha256 of all weight files' contents; the pinned default model is itself wherever it lies. */
export async function localIdentity(
  weights: ModelFiles["weights"],
  options: Pick<ResolveOptions, "signal" | "cacheDir">,
): Promise<string> {
  const { kind, file } = weights;
  if (kind !== "safetensors-index") {
    const sha256 = await weightSha256(file, options);
    return sha256 === defaultModel.sha256 ? packagedIdentity(defaultModel) : `sha256:${sha256}`;
  }
  const hash = createHash("sha256");
  for (const shard of await shardFiles(file)) hash.update(`${basename(shard)} ${await weightSha256(shard, options)}\n`);
  return `sha256:${hash.digest("hex")}`;
}

async function weightSha256(
  file: string,
  { signal, cacheDir }: Pick<ResolveOptions, "signal" | "cacheDir">,
): Promise<string> {
  return sha256OfFile(file, signal, cacheDir).catch((error: NodeJS.ErrnoException) => {
    if (error instanceof InputError) throw error;
    throw new ModelError("corrupt-file", `${file} cannot be read (${error.code}). Fetch it again.`, { cause: error });
  });
}
