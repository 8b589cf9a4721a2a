import { spawnSync } from "node:child_process";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { median } from "./side.ts";

/**
 * Start-up on a cached model: the whole process `oneword embed` over an empty file, and over one sentence, beside a
 * process that does nothing but have ONNX Runtime create the session of the same graph; in turn, medians.
 */
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m" },
    precision: { type: "string", default: "stored" },
    rounds: { type: "string", default: "7" },
  },
});

function seconds(args: readonly string[]): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return (performance.now() - start) / 1000;
}

const main = resolve(import.meta.dirname, "../../dist/cli/main.js");
const flags = ["--model", values.model, "--precision", values.precision];
const startUp = (): number => seconds([main, "embed", "--file", "/dev/null", ...flags]);
const sentence = (): number => seconds([main, "embed", "A jockey riding a horse.", ...flags]);
const sessionOnly = [resolve(import.meta.dirname, "session-only.js"), values.model, values.precision];
sentence(); // fetches the model and derives its weights
seconds([...sessionOnly, "write"]);

const rounds = Array.from(
  { length: Number(values.rounds) },
  () => [startUp(), sentence(), seconds(sessionOnly)] as const,
);
for (const [column, name] of ["oneword embed, no text", "oneword embed, one sentence", "session alone"].entries()) {
  const time = median(rounds.map((round) => round[column]!));
  const ratio = median(rounds.map((round) => round[column]! / round[2]));
  process.stdout.write(`${name.padEnd(28)} ${time.toFixed(2)} s · ${ratio.toFixed(2)} x\n`);
}
