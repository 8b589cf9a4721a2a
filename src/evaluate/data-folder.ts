import { stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "../errors.ts";
import { cacheFolder } from "../files/cache-folder.ts";
import { findPacked } from "../files/tsv.ts";
import { isTransferTask, type Task, taskTitles } from "./tasks.ts";

/** The sample that comes with the package; as far from src/evaluate as from dist/evaluate. */
export const packagedDev = fileURLToPath(new URL("../../data/stsb-dev.tsv", import.meta.url));

/** Where `oneword data pull` puts sets. */
export const pulledFolder = (cacheDir?: string): string => join(cacheFolder(cacheDir), "data");

/** Where SentEval's folders of sets may lie. */
export const sentEvalRoots = [".", "downstream", "data/downstream"];

/** The first of `folder/root/file` that exists, packed or not. */
export async function findUnder(folder: string, roots: readonly string[], file: string): Promise<string | undefined> {
  for (const root of roots) {
    const found = await findPacked(join(folder, root, file));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** All of `files` under the first root that has one of them. @throws InputError "data-not-found" for a partial set */
export async function findAllUnder(
  folder: string,
  roots: readonly string[],
  files: readonly string[],
): Promise<string[] | undefined> {
  for (const root of roots) {
    const found = await Promise.all(files.map((file) => findPacked(join(folder, root, file))));
    const missing = found.indexOf(undefined);
    if (missing < 0) return found as string[];
    if (found.some((file) => file !== undefined)) {
      const advice = "The set is not whole: copy the rest, or fetch it again.";
      throw new InputError("data-not-found", `${join(folder, root, files[missing]!)} is missing. ${advice}`);
    }
  }
  return undefined;
}

export const isFolder = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => null))?.isDirectory() === true;

/** Says which set is missing and how to get it. */
export async function dataNotFound(task: Task, folder: string, expected: readonly string[]): Promise<InputError> {
  const where = (await isFolder(folder))
    ? `is not in ${folder} (looked for ${expected.join(" and ")})`
    : `is missing, for there is no folder ${folder}`;
  const pull = `oneword data pull ${isTransferTask(task) ? "transfer" : "sts"}`;
  const advice = `Fetch it with "${pull}", or name a folder that has it (--data; in train, --test-data).`;
  return new InputError("data-not-found", `${taskTitles[task]} ${where}. ${advice}`);
}
