import { readFile, rm, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CapacityError } from "../errors.ts";
import { throwDiskError } from "./replace-file.ts";

/** Locks of this process, whose id a file may have from one that was killed before. */
const held = new Set<string>();

/**
 * Takes a lock that lasts as long as this process does, by a file with its id. Unlike a lock that has to be renewed, it holds
 * while one run of the runtime keeps the thread for minutes.
 * @returns gives it back
 * @throws CapacityError "locked" while another process, or another call in this one, has it, "disk-full"
 */
export async function lockForProcess(file: string, what: string): Promise<() => Promise<void>> {
  const key = resolve(file);
  const locked = (holder: number): CapacityError =>
    new CapacityError(
      "locked",
      `${what}: process ${holder} is at work there. Wait for it, or end it; if it is none of ours, delete ${file}.`,
    );
  if (held.has(key)) throw locked(process.pid);
  held.add(key);
  try {
    await writeOwnId(file, locked);
  } catch (error) {
    held.delete(key);
    throw error;
  }
  return async () => {
    held.delete(key);
    await rm(file, { force: true });
  };
}

async function writeOwnId(file: string, locked: (holder: number) => CapacityError): Promise<void> {
  const write = (flag: "w" | "wx"): Promise<void> =>
    writeFile(file, String(process.pid), { flag }).catch(throwDiskError(file));
  try {
    await write("wx");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const holder = await readHolder(file);
    if (isAlive(holder)) throw locked(holder);
    await write("w"); // its process was killed
    await sleep(50); // another that found it at the same time writes meanwhile, and one of the two stays
    const last = await readHolder(file);
    if (last !== process.pid) throw locked(last);
  }
}

/** The id in a lock; a moment after it was made there may be none yet. */
async function readHolder(file: string): Promise<number> {
  const read = (): Promise<string> => readFile(file, "utf8").catch(() => "");
  return Number((await read()) || (await sleep(200).then(read)));
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
