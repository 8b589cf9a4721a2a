import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder, hubCacheFolder } from "./cache-folder.ts";
import { findDamage, readHubSnapshot, readManifest } from "./cached-models.ts";
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
  const { name, source } = manifest;
  return { name, source, path, bytes: await folderBytes(path), complete: (await findDamage(path, manifest)) === null };
}

async function readPartial(path: string): Promise<CachedModel | null> {
  const state = await readStagingState(path);
  if (!state) return null;
  const source = state.name.includes("/") ? "hub" : "package-index";
  return { name: state.name, source, path, bytes: await folderBytes(path), complete: false };
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
    return { name, source: "hf-cache", path: snapshot, bytes: await folderBytes(snapshot), complete: found.isWhole };
  });
}

/** What `read` makes of each folder in a folder; null is left out. */
async function mapFolders<T>(root: string, read: (path: string, name: string) => Promise<T | null>): Promise<T[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const found = await Promise.all(folders.map((name) => read(join(root, name), name)));
  return found.filter((value) => value !== null) as T[];
}

/** Links count as what they lead to: the Hugging Face cache is made of them. */
async function folderBytes(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const found = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => null)));
  return found.reduce((sum, entry) => sum + (entry?.isFile() ? entry.size : 0), 0);
}
