import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { ModelError } from "../errors.ts";
import { cacheFolder } from "./cache-folder.ts";
import { folderBytes, mapFolders } from "./folder-contents.ts";
import type { ModelFiles } from "./model-files.ts";
import { preparedPlace, preparedRoot, readPrepared, readPreparedManifest, weightsFile } from "./prepared.ts";
import { listModels } from "./pull.ts";
import { localIdentity } from "./resolve-model.ts";

/** Weights that were prepared for one model in one precision. */
export interface PreparedWeights {
  /** What the model was called when they were made. */
  readonly name: string;
  readonly precision: string;
  readonly bytes: number;
  /** Their folder. */
  readonly path: string;
  /** False for what was damaged since; the next load makes it again. */
  readonly complete: boolean;
}

/** Prepared weights in the cache, by name and precision. Sizes are compared; contents are when they are loaded. */
export async function listPrepared({ cacheDir }: { readonly cacheDir?: string } = {}): Promise<PreparedWeights[]> {
  const found = await mapFolders(preparedRoot(cacheFolder(cacheDir)), async (path, folderName) => {
    const manifest = folderName.startsWith(".") ? null : await readPreparedManifest(path);
    if (!manifest) return null;
    const { name, precision, bytes } = manifest;
    const size = (await stat(weightsFile(path)).catch(() => null))?.size;
    return { name, precision, path, bytes: await folderBytes(path), complete: size === bytes };
  });
  const key = ({ name, precision, path }: PreparedWeights): string => `${name}\n${precision}\n${path}`;
  return found.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** Identities of the whole models in the caches. */
async function presentIdentities(cacheRoot: string): Promise<ReadonlySet<string>> {
  const models = await listModels({ cacheDir: cacheRoot });
  return new Set(models.flatMap(({ identity, complete }) => (complete && identity !== null ? [identity] : [])));
}

/**
 * Why no model of this machine can use what is in a folder of prepared weights; null where one can. A model outside the
 * caches counts while it lies, unchanged, where the weights were made from it.
 */
export async function uselessBecause(folder: string, cacheRoot: string, signal?: AbortSignal): Promise<string | null> {
  const manifest = await readPrepared(folder, signal);
  if (!manifest) return "damaged or of another version";
  if (basename(preparedPlace(cacheRoot, manifest).folder) !== basename(folder)) return "of another version";
  const { name, identity, precision, madeFrom } = manifest;
  const present = await presentIdentities(cacheRoot);
  const isPresent = present.has(identity) || (await identityOf(madeFrom, cacheRoot, signal)) === identity;
  return isPresent ? null : `${precision} weights of ${name}, which is gone`;
}

async function identityOf(file: string, cacheDir: string, signal?: AbortSignal): Promise<string | null> {
  if (!(await stat(file).catch(() => null))) return null;
  const weights: ModelFiles["weights"] = /\.gguf$/i.test(file)
    ? { kind: "gguf", file }
    : { kind: file.endsWith(".index.json") ? "safetensors-index" : "safetensors", file };
  return localIdentity(weights, { cacheDir, ...(signal ? { signal } : {}) }).catch((error: unknown) => {
    if (error instanceof ModelError) return null; // unreadable
    throw error;
  });
}
