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
  const prepared = await mapFolders(preparedRoot(root), async (path, name): Promise<Candidate> => {
    const staged = /^\.(\w+)\./.exec(name)?.[1];
    const reason = async (): Promise<string | null> =>
      staged ? "left by a process that was stopped" : uselessBecause(path, root, signal);
    return { path, lock: placeOf(root, staged ?? name).lock, reason };
  });
  const partial = await mapFolders(
    join(root, "partial"),
    async (path, name): Promise<Candidate> => ({
      path,
      lock: modelLock(root, name),
      reason: async () => "download that was cut",
    }),
  );
  const pruned: Pruned[] = [];
  for (const candidate of [...prepared, ...partial]) {
    const done = await removeUseless(candidate); // one after the other: weights and what is left of making them share a lock
    if (done) pruned.push(done);
  }
  return pruned.sort((a, b) => (a.path < b.path ? -1 : 1));
}

interface Candidate {
  readonly path: string;
  readonly lock: string;
  readonly reason: () => Promise<string | null>;
}

/** The reason is asked for again under the lock: whoever held it may have finished in between. */
async function removeUseless({ path, lock, reason: reasonNow }: Candidate): Promise<Pruned | null> {
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
