import { randomUUID } from "node:crypto";
import { open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CapacityError, InputError } from "../errors.ts";

/**
 * Puts bytes, or the pieces of a file, under a name so that a crash leaves either the old file or the new one.
 * @throws CapacityError "disk-full", the old file is untouched; InputError "bad-option" where a folder has the name
 */
export async function replaceFile(file: string, bytes: Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
  const staging = `${file}.${randomUUID()}.part`;
  try {
    const handle = await open(staging, "wx");
    try {
      await writeFile(handle, bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(staging, file);
  } catch (cause) {
    await rm(staging, { force: true });
    throw diskError(cause, file);
  }
}

/** Removes what a process that was killed while it replaced one of a folder's files has left. */
export async function removeUnfinished(folder: string, names: readonly string[]): Promise<void> {
  const isLeft = (entry: string): boolean =>
    names.some((name) => entry.startsWith(`${name}.`) && /^[\da-f-]{36}\.part$/.test(entry.slice(name.length + 1)));
  const left = (await readdir(folder)).filter(isLeft);
  await Promise.all(left.map((entry) => rm(join(folder, entry), { force: true })));
}

/** For a write's catch: throws its failure as diskError has it. */
export const throwDiskError =
  (file: string) =>
  (cause: unknown): never => {
    throw diskError(cause, file);
  };

/**
 * A failed write of `file` as an error that says what to do, where a folder has its name or there was no room: a full disk, a
 * quota, a limit of file sizes.
 */
export function diskError(cause: unknown, file: string): unknown {
  const code = String((cause as NodeJS.ErrnoException).code);
  if (code === "EISDIR" || code === "ERR_FS_EISDIR") {
    return new InputError("bad-option", `${file}: is a folder, where a file is to be written. Move it away.`, {
      cause,
    });
  }
  if (!["ENOSPC", "EDQUOT", "EFBIG"].includes(code)) return cause;
  return new CapacityError(
    "disk-full",
    `${dirname(file)}: no room for ${basename(file)} (${code}); what was there before is kept. Free some space and go on.`,
    { cause },
  );
}
