import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * A module that is to run in a worker thread, beside the caller's own file.
 * @param name       without extension, `./weight-worker`
 * @param callerUrl  the caller's import.meta.url
 * @returns null where there is no JavaScript for it: Node 20 runs no TypeScript in a worker, so sources that run under a
 *   test runner do the same work in their own thread
 */
export function workerUrl(name: string, callerUrl: string): URL | null {
  const url = new URL(`${name}.js`, callerUrl);
  return existsSync(fileURLToPath(url)) ? url : null;
}
