import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { InputError } from "../errors.ts";
import { writeAtomically } from "./atomic.ts";
import { cacheFolder } from "./cache-folder.ts";

/**
 * sha256 of a file's contents in hexadecimal, remembered in the cache for as long as path, size, time and inode stay.
 * @throws InputError "aborted"
 */
export async function sha256OfFile(file: string, signal?: AbortSignal, cacheDir?: string): Promise<string> {
  const path = resolve(file);
  const state = await fileState(path);
  const name = createHash("sha256").update(path).digest("hex").slice(0, 32);
  const memo = join(cacheFolder(cacheDir), "checksums", `${name}.json`);
  const known = await readMemo(memo);
  if (known?.path === path && known.state === state) return known.sha256;
  const sha256 = await computeSha256(path, signal);
  if ((await fileState(path)) === state) {
    await writeAtomically(memo, JSON.stringify({ path, state, sha256 } satisfies Memo)).catch(() => {}); // costs only time
  }
  return sha256;
}

/** The same, read from the disk every time: for what has just been fetched. */
export async function computeSha256(file: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, ...(signal ? { signal } : {}) })) {
      hash.update(chunk as Buffer);
    }
  } catch (error) {
    if (signal?.aborted) throw new InputError("aborted", `stopped while ${file} was checked.`, { cause: error });
    throw error;
  }
  return hash.digest("hex");
}

interface Memo {
  readonly path: string;
  readonly state: string;
  readonly sha256: string;
}

/** What changes whenever a file is written: size, time and inode. @throws as stat */
export async function fileState(path: string): Promise<string> {
  const { size, mtimeNs, ino } = await stat(path, { bigint: true });
  return `${size} ${mtimeNs} ${ino}`;
}

async function readMemo(file: string): Promise<Memo | null> {
  try {
    const memo = JSON.parse(await readFile(file, "utf8")) as Memo | null;
    return memo && /^[0-9a-f]{64}$/.test(memo.sha256) ? memo : null;
  } catch {
    return null; // missing or damaged: computed again
  }
}
