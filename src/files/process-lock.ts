import { readFile, rm, writeFile } from "node:fs/promises";
import { CapacityError } from "../errors.ts";

/**
 * Takes a lock that lasts as long as this process does, by a file with its id. Unlike a lock that has to be renewed, it holds
 * while one run of the runtime keeps the thread for minutes.
 * @returns gives it back
 * @throws CapacityError "locked" while another process has it
 */
export async function lockForProcess(file: string, what: string): Promise<() => Promise<void>> {
  try {
    await writeFile(file, String(process.pid), { flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const holder = Number(await readFile(file, "utf8").catch(() => ""));
    if (isAlive(holder)) {
      throw new CapacityError(
        "locked",
        `${what}: process ${holder} is at work there. Wait for it, or end it; if it is none of ours, delete ${file}.`,
      );
    }
    await writeFile(file, String(process.pid)); // its process was killed
  }
  return () => rm(file, { force: true });
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
