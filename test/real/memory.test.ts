import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { resolveModel } from "../../src/files/resolve-model.ts";

/** Loads in a process of its own and prints its largest resident size in kB, as the kernel counted it. */
const script = `
  import { readFileSync } from "node:fs";
  import { load } from ${JSON.stringify(resolve(import.meta.dirname, "../../dist/index.js"))};
  const [what, file, cacheDir] = process.argv.slice(-3);
  const precision = what === "prepare int8" ? "int8" : "stored";
  const model = await load(file, { precision, ...(what.startsWith("prepare") ? { cacheDir } : {}) });
  if (what === "embed") await model.embed(["A jockey riding a horse."]);
  console.log(/VmHWM:\\s+(\\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  await model.close();
`;

const isLinux = process.platform === "linux";

test.skipIf(!isLinux).each([
  ["prepare", 300],
  ["prepare int8", 350], // 314 to 383 MiB in all were seen: what threads have freed stays with the allocator, more on a busy machine
  ["load", 300],
  ["embed", 300],
])("to %s, the default model takes less memory than its file and %i MB", async (what, megabytes) => {
  const { weights } = await resolveModel("smollm2-135m");
  const node = promisify(execFile);
  const cacheDir = await mkdtemp(join(tmpdir(), "oneword-memory-"));
  const run = (purpose: string) =>
    node(process.execPath, ["--input-type=module", "--eval", script, purpose, weights.file, cacheDir]);
  if (!what.startsWith("prepare")) await run("load"); // prepares the weights where they are not yet
  const { stdout } = await run(what);
  await rm(cacheDir, { recursive: true });
  const peakBytes = Number(stdout.trim()) * 1024;
  expect(peakBytes).toBeGreaterThan(50e6); // the measurement itself works
  expect(peakBytes).toBeLessThan(statSync(weights.file).size + megabytes * 1e6);
});

/** Examples whose texts are longer than any is taken. */
function longTriples(count: number): string {
  const words = [
    "river",
    "stone",
    "cloud",
    "market",
    "engine",
    "garden",
    "winter",
    "silver",
    "copper",
    "bridge",
    "forest",
  ];
  const text = (start: number): string =>
    Array.from({ length: 40 }, (_, i) => words[(start * 7 + i * (1 + (start % 5))) % words.length]).join(" ");
  const rows = Array.from({ length: count }, (_, i) => [0, 1, 2].map((j) => `${i} ${text(3 * i + j)}`).join("\t"));
  return ["sent0\tsent1\thard_neg", ...rows].join("\n");
}

test.skipIf(!isLinux).each([
  ["float32", 2650],
  ["nf4", 1450],
])(
  "training with %s weights keeps to the %i MB that --memory allows, a checkpoint included",
  async (precision, megabytes) => {
    const folder = await mkdtemp(join(tmpdir(), "oneword-memory-"));
    const data = join(folder, "triples.tsv");
    await writeFile(data, longTriples(16));
    const onExit = 'process.on("exit", () => console.error("peak", process.resourceUsage().maxRSS, "kB"))';
    const program = resolve(import.meta.dirname, "../../dist/cli/main.js");
    const flags = ["--batch-size", "16", "--warmup-steps", "0", "--epochs", "2", "--memory", `${megabytes}MB`];
    const args = ["train", "--data", data, "--output", join(folder, "run"), "--precision", precision, ...flags];
    const training = spawn(process.execPath, ["--import", `data:text/javascript,${onExit}`, program, ...args]);
    let said = "";
    training.stderr.on("data", (chunk) => {
      said += chunk;
      if (/step 1\//.test(chunk)) training.kill("SIGINT"); // the score on STS-B dev is of shorter runs, and takes minutes
    });
    await once(training, "close");
    await rm(folder, { recursive: true });
    expect(said).toMatch(/[0-9]{3} tokens at once/);
    expect(said).toMatch(/stopped after [12] steps/);
    const peakBytes = Number(/peak (\d+) kB/.exec(said)?.[1]) * 1024;
    expect(peakBytes).toBeGreaterThan(0.7e6 * megabytes);
    expect(peakBytes).toBeLessThan(1e6 * megabytes);
  },
);
