import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** What `read` makes of each folder in a folder, which need not be there; null is left out. */
export async function mapFolders<T>(
  root: string,
  read: (path: string, name: string) => Promise<T | null>,
): Promise<T[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  const found = await Promise.all(folders.map((name) => read(join(root, name), name)));
  return found.filter((value) => value !== null) as T[];
}

/** Links count as what they lead to: the Hugging Face cache is made of them. */
export async function folderBytes(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const found = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => null)));
  return found.reduce((sum, entry) => sum + (entry?.isFile() ? entry.size : 0), 0);
}
