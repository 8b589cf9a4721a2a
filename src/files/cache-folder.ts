import { homedir } from "node:os";
import { join, resolve, sep } from "node:path";

/** Root of the package's cache: `given`, else ONEWORD_CACHE, else `oneword` in XDG_CACHE_HOME or ~/.cache. */
export function cacheFolder(given?: string): string {
  return resolve(given || process.env.ONEWORD_CACHE || join(userCache(), "oneword"));
}

/** What to say of an error that means the cache `root` cannot be written; undefined for others. */
export function unwritableCache(error: unknown, root: string): string | undefined {
  const { code = "", path = root, message } = error as NodeJS.ErrnoException;
  const isOfCache = path === root || isBelow(root, path) || isBelow(path, root); // and not of a model's file elsewhere
  if (!isOfCache || !["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST"].includes(code)) return undefined;
  return `the cache ${root} cannot be written (${message}). Set ONEWORD_CACHE to a folder that you may write to.`;
}

const isBelow = (folder: string, path: string): boolean => path.startsWith(`${folder}${sep}`);

/** Where other tools keep the Hugging Face token and cache. @see huggingface_hub, constants.py */
export function huggingFaceHome(): string {
  return resolve(process.env.HF_HOME || join(userCache(), "huggingface"));
}

/** The Hugging Face cache that other tools fill. */
export function hubCacheFolder(): string {
  return resolve(process.env.HF_HUB_CACHE || join(huggingFaceHome(), "hub"));
}

const userCache = (): string => process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
