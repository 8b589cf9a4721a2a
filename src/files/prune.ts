import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder } from "./cache-folder.ts";
import { modelLock } from "./cached-models.ts";
import { folderBytes, mapFolders } from "./folder-contents.ts";
import { uselessBecause } from "./list-prepared.ts";
import { tryLock } from "./lock.ts";
import { placeOf, preparedRoot } from "./prepared.ts";

/** A folder that pruning took away, or left because another process works on it. */
export interface Pruned {
  readonly path: string;
  readonly bytes: number;
  readonly reason: string;
  readonly removed: boolean;
}

export interface PruneOptions {
  readonly cacheDir?: string;
  readonly signal?: AbortSignal;
}

/**
 * Takes away what serves nobody: prepared weights that no model of this machine can use, downloads that were cut, and
 * what processes that died were filling. What another process holds the lock of stays.
 * @throws InputError "aborted"
 */
export async function pruneCache({ cacheDir, signal }: PruneOptions = {}): Promise<Pruned[]> {
  const root = cacheFolder(cacheDir);
  const prepared = await mapFolders(preparedRoot(root), async (path, name) => {
    const staged = /^\.(\w+)\./.exec(name)?.[1];
    const reason = async (): Promise<string | null> =>
      staged ? "left by a process that was stopped" : uselessBecause(path, root, signal);
    return removeUseless(path, placeOf(root, staged ?? name).lock, reason);
  });
  const partial = await mapFolders(join(root, "partial"), (path, name) =>
    removeUseless(path, modelLock(root, name), async () => "download that was cut"),
  );
  return [...prepared, ...partial].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The reason is asked for again under the lock: whoever held it may have finished in between. */
async function removeUseless(
  path: string,
  lock: string,
  reasonNow: () => Promise<string | null>,
): Promise<Pruned | null> {
  const reason = await reasonNow();
  if (reason === null) return null;
  const release = await tryLock(lock);
  if (!release) return { path, bytes: await folderBytes(path), reason, removed: false };
  try {
    const bytes = await folderBytes(path);
    if (!existsSync(path) || (await reasonNow()) === null) return null;
    await rm(path, { recursive: true, force: true });
    return { path, bytes, reason, removed: true };
  } finally {
    await release();
  }
}
