import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

const linuxProcessors = "/sys/devices/system/cpu";

/**
 * Cores that this process may use, hardware threads of one core counted once.
 * @param folder  where Linux says which processors share a core
 */
export function physicalCores(folder = linuxProcessors, usable = availableParallelism()): number {
  return Math.min(usable, coresOfLinux(folder) ?? usable);
}

/** @returns undefined on another system, and where the folder does not say it */
function coresOfLinux(folder: string): number | undefined {
  try {
    const processors = readdirSync(folder).filter((name) => /^cpu\d+$/.test(name));
    const siblings = processors.map((name) =>
      readFileSync(join(folder, name, "topology/thread_siblings_list"), "utf8"),
    );
    return siblings.length > 0 ? new Set(siblings).size : undefined;
  } catch {
    return undefined; // no such folder, or a processor that is switched off
  }
}
