#!/usr/bin/env node
import { exitCodes } from "./exit-codes.ts";
import { runCli } from "./program.ts";
import { reportError } from "./report-error.ts";

function failAtOnce(error: unknown): void {
  process.stderr.write(reportError(error, process.env).text, () => process.exit(exitCodes.failed));
}
process.on("uncaughtException", failAtOnce);
process.on("unhandledRejection", failAtOnce);

const exitCode = await runCli(process.argv.slice(2), {
  load: async (model, options) => (await import("../embed/load.ts")).load(model, options),
  pullModel: async (name, options) => (await import("../files/pull.ts")).pullModel(name, options),
  listModels: async () => (await import("../files/pull.ts")).listModels({}),
  listPrepared: async () => (await import("../files/list-prepared.ts")).listPrepared({}),
  pruneCache: async (options) => (await import("../files/prune.ts")).pruneCache(options),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signals: process,
  env: process.env,
});
// What was awaited is written; anything still open, such as a download given up, must not keep the process.
process.stdout.write("", () => process.exit(exitCode));
