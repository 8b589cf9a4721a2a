import { randomUUID } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { CapacityError } from "../errors.ts";

/**
 * Puts `bytes` under a name so that a crash leaves either the old file or the new one.
 * @throws CapacityError "disk-full"; the old file is untouched
 */
export async function replaceFile(file: string, bytes: Uint8Array): Promise<void> {
  const staging = `${file}.${randomUUID()}.part`;
  try {
    const handle = await open(staging, "wx");
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(staging, file);
  } catch (cause) {
    await rm(staging, { force: true });
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== "ENOSPC" && code !== "EDQUOT") throw cause;
    throw new CapacityError(
      "disk-full",
      `${dirname(file)}: no room for ${file}; what was there before is kept. Free some space and go on.`,
      { cause },
    );
  }
}
