import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder, hubCacheFolder } from "./cache-folder.ts";
import { findDamage, isDataFolder, readHubSnapshot, readManifest } from "./cached-models.ts";
import { folderBytes, mapFolders } from "./folder-contents.ts";
import type { ModelFiles } from "./model-files.ts";
import { type ResolveOptions, resolveModel } from "./resolve-model.ts";
import { readStagingState } from "./staging.ts";

/** Has a model fetched unless it is on this machine already; the same as resolveModel, by the name of the purpose. */
export function pullModel(name: string, options: ResolveOptions = {}): Promise<ModelFiles> {
  return resolveModel(name, options);
}

/** A model found by `listModels`. */
export interface CachedModel {
  readonly name: string;
  /** ModelFiles.identity; null for a download that was cut. */
  readonly identity: string | null;
  readonly source: "hub" | "package-index" | "hf-cache";
  readonly bytes: number;
  /** Its folder. */
  readonly path: string;
  /** False for a download that was cut, and for a model that was damaged since. */
  readonly complete: boolean;
}

/** Models in the own cache and those in the Hugging Face cache that have weights of a known format, by name. */
export async function listModels({ cacheDir }: { readonly cacheDir?: string } = {}): Promise<CachedModel[]> {
  const root = cacheFolder(cacheDir);
  const lists = await Promise.all([
    mapFolders(join(root, "models"), readCached),
    mapFolders(join(root, "partial"), readPartial),
    mapFolders(hubCacheFolder(), readHubModels).then((models) => models.flat()),
  ]);
  return lists.flat().sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.path < b.path ? -1 : 1));
}

async function readCached(path: string): Promise<CachedModel | null> {
  const manifest = await readManifest(path);
  if (!manifest) return null;
  const { name, source, identity } = manifest;
  return {
    name,
    identity,
    source,
    path,
    bytes: await folderBytes(path),
    complete: (await findDamage(path, manifest)) === null,
  };
}

async function readPartial(path: string, folderName: string): Promise<CachedModel | null> {
  const state = await readStagingState(path);
  if (!state || isDataFolder(folderName)) return null; // evaluation sets are no model
  const source = state.name.includes("/") ? "hub" : "package-index";
  return { name: state.name, identity: null, source, path, bytes: await folderBytes(path), complete: false };
}

/** One model for each snapshot: main by the repository's name, others with their commit behind it. */
async function readHubModels(path: string, folderName: string): Promise<CachedModel[] | null> {
  const repo = /^models--(.+)$/.exec(folderName)?.[1]?.replace("--", "/");
  if (!repo) return null;
  const main = (await readFile(join(path, "refs", "main"), "utf8").catch(() => "")).trim();
  return mapFolders(join(path, "snapshots"), async (snapshot, commit) => {
    const found = await readHubSnapshot(snapshot, repo);
    if (!found) return null;
    const name = commit === main ? repo : `${repo}@${commit}`;
    const bytes = await folderBytes(snapshot);
    return { name, identity: `${repo}@${commit}`, source: "hf-cache", path: snapshot, bytes, complete: found.isWhole };
  });
}
