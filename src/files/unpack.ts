import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";

/**
 * Unpacks a tar archive into a folder.
 * @throws InputError "bad-row" for what is no archive, and for one with entries that would leave the folder
 */
export async function unpackTar(archive: string, folder: string): Promise<void> {
  const { extract } = await import("tar");
  await mkdir(folder, { recursive: true });
  await extract({ file: archive, cwd: folder, strict: true }).catch((cause: unknown) => {
    const reason = (cause as Error).message;
    throw new InputError("bad-row", `${archive}: cannot be unpacked (${reason}). Fetch it again.`, { cause });
  });
}

/** The folder, at most three levels down, that has a folder of one of these names. */
export async function findFolderWith(names: readonly string[], folder: string, depth = 3): Promise<string | undefined> {
  const entries = await readdir(folder, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  if (folders.some((name) => names.includes(name))) return folder;
  for (const name of depth > 0 ? folders : []) {
    const found = await findFolderWith(names, join(folder, name), depth - 1);
    if (found !== undefined) return found;
  }
  return undefined;
}
