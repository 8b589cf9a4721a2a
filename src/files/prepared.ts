import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { OnewordError } from "../errors.ts";
import { writeAtomically } from "./atomic.ts";
import { computeSha256, fileState } from "./checksum.ts";

/** Bump when the bytes of prepared weights, or this file's own, change. */
const formatVersion = 4;

/** What prepared weights were made from and for. */
export interface PreparedOrigin {
  /** What the user called the model. */
  readonly name: string;
  /** ModelFiles.identity. */
  readonly identity: string;
  readonly precision: string;
  /** The model's file when they were made: absolute, a .gguf, a .safetensors or an index. */
  readonly madeFrom: string;
  /** What else the bytes follow from. */
  readonly variant: string;
}

/** Written last into the folder, with a checksum of its own. */
export interface PreparedManifest extends PreparedOrigin {
  readonly bytes: number;
  /** Of weights.bin. */
  readonly sha256: string;
  /** Of weights.bin when its checksum was last compared, see fileState. */
  readonly state: string;
  /** Where each tensor lies; its meaning is the writer's. */
  readonly tensors: readonly (readonly [string, unknown])[];
}

/** The place of some prepared weights in the cache. */
export interface PreparedPlace {
  readonly folder: string;
  /** Held by whoever makes or removes them. */
  readonly lock: string;
}

export const preparedRoot = (cacheRoot: string): string => join(cacheRoot, "derived");
const weightsName = "weights.bin";
const manifestName = "manifest.json";

export function preparedPlace(cacheRoot: string, { identity, precision, variant }: PreparedOrigin): PreparedPlace {
  const key = [formatVersion, identity, precision, variant].join("\n");
  return placeOf(cacheRoot, createHash("sha256").update(key).digest("hex").slice(0, 32));
}

export const placeOf = (cacheRoot: string, name: string): PreparedPlace => ({
  folder: join(preparedRoot(cacheRoot), name),
  lock: join(cacheRoot, "locks", `derived-${name}`),
});

export const weightsFile = (folder: string): string => join(folder, weightsName);

/**
 * Prepared weights that are what was written; null where there are none, or damaged ones. The file is read and its
 * checksum compared only where size, time or inode changed since that was last done.
 * @throws InputError "aborted"
 */
export async function readPrepared(folder: string, signal?: AbortSignal): Promise<PreparedManifest | null> {
  const manifest = await readPreparedManifest(folder);
  if (!manifest) return null;
  const state = await fileState(weightsFile(folder)).catch(() => null);
  if (state === manifest.state) return manifest;
  if (state === null || !(await hasSum(weightsFile(folder), manifest.sha256, signal))) return null;
  await writeManifest(folder, { ...manifest, state }).catch(() => {}); // costs only time
  return manifest;
}

async function hasSum(file: string, sha256: string, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    return (await computeSha256(file, signal)) === sha256;
  } catch (error) {
    if (error instanceof OnewordError) throw error;
    return false; // unreadable is as good as damaged: made again
  }
}

/** The manifest alone; null where it is missing or damaged. */
export async function readPreparedManifest(folder: string): Promise<PreparedManifest | null> {
  try {
    const { sum, manifest } = JSON.parse(await readFile(join(folder, manifestName), "utf8"));
    return sum === sumOf(manifest) ? (manifest as PreparedManifest) : null;
  } catch {
    return null;
  }
}

const sumOf = (manifest: unknown): string => createHash("sha256").update(JSON.stringify(manifest)).digest("hex");

const writeManifest = (folder: string, manifest: PreparedManifest): Promise<void> =>
  writeAtomically(join(folder, manifestName), JSON.stringify({ sum: sumOf(manifest), manifest }));

/**
 * Makes prepared weights: `write` fills the file it is given, which appears in the cache whole or not at all. The caller
 * holds the place's lock.
 * @returns the manifest, with the checksum of what came to be on the disk
 */
export async function makePrepared(
  { folder }: PreparedPlace,
  origin: PreparedOrigin,
  write: (file: string) => Promise<PreparedManifest["tensors"]>,
  signal?: AbortSignal,
): Promise<PreparedManifest> {
  for (const leftover of await leftoversOf(folder)) await rm(leftover, { recursive: true, force: true });
  const staging = join(folder, "..", `.${folder.split(/[\\/]/).at(-1)}.${randomUUID()}`);
  try {
    await mkdir(staging, { recursive: true });
    const file = weightsFile(staging);
    const tensors = await write(file);
    await syncFile(file);
    const state = await fileState(file); // a rename changes none of it
    const manifest = {
      ...origin,
      bytes: Number(state.split(" ")[0]),
      sha256: await computeSha256(file, signal),
      state,
    };
    await writeManifest(staging, { ...manifest, tensors });
    await rm(folder, { recursive: true, force: true }); // only ever a damaged one
    await rename(staging, folder);
    return { ...manifest, tensors };
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function syncFile(file: string): Promise<void> {
  const handle = await open(file, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Folders that were being filled with these weights by a process that died; only who holds the lock can tell. */
async function leftoversOf(folder: string): Promise<string[]> {
  const root = join(folder, "..");
  const names = await readdir(root).catch(() => []);
  return names.filter((name) => name.startsWith(`.${folder.split(/[\\/]/).at(-1)}.`)).map((name) => join(root, name));
}
