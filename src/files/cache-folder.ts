import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** Root of the package's cache: `given`, else ONEWORD_CACHE, else `oneword` in XDG_CACHE_HOME or ~/.cache. */
export function cacheFolder(given?: string): string {
  return resolve(given || process.env.ONEWORD_CACHE || join(userCache(), "oneword"));
}

/** Where other tools keep the Hugging Face token and cache. @see huggingface_hub, constants.py */
export function huggingFaceHome(): string {
  return resolve(process.env.HF_HOME || join(userCache(), "huggingface"));
}

/** The Hugging Face cache that other tools fill. */
export function hubCacheFolder(): string {
  return resolve(process.env.HF_HUB_CACHE || join(huggingFaceHome(), "hub"));
}

const userCache = (): string => process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
