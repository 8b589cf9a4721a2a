import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { replaceFile } from "./replace-file.ts";

/**
 * Writes a small file so that it is there as a whole or not at all, in a folder that is made if need be.
 * @throws CapacityError "disk-full"
 */
export async function writeAtomically(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await replaceFile(file, Buffer.from(text));
}

/** Puts a filled folder in the place of what was under that name, which must be nothing or useless. */
export async function moveFolder(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await rm(to, { recursive: true, force: true });
  await rename(from, to);
}
