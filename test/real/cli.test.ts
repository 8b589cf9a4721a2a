import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

/** The built command line as a process of its own, on the default model. */
const main = resolve(import.meta.dirname, "../../dist/cli/main.js");
let folder: string;
let many: string;
beforeAll(async () => {
  await oneword(["embed", "fetches and prepares the model, where this is the first to need it"]);
  folder = await mkdtemp(join(tmpdir(), "oneword-real-"));
  // A window runs equal texts once, so that many lines cost little.
  many = join(folder, "many.txt");
  await writeFile(many, Array.from({ length: 100_000 }, (_, i) => `sentence number ${i % 16}\n`).join(""));
});
afterAll(() => rm(folder, { recursive: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** @param onOutput  called at the first bytes on standard output */
function oneword(args: string[], onOutput = (_stop: (signal: NodeJS.Signals) => void) => {}): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.once("data", () => onOutput((signal) => child.kill(signal)));
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  return new Promise((done) => child.on("close", (code) => done({ code, out, err })));
}

function shell(command: string): Promise<Ended> {
  const child = spawn("bash", [
    "-c",
    `set -o pipefail; oneword() { "${process.execPath}" "${main}" "$@"; }; ${command}`,
  ]);
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  return new Promise((done) => child.on("close", (code) => done({ code, out, err })));
}

test.each([
  ["SIGINT", 130, "oneword: interrupted\n"],
  ["SIGTERM", 143, "oneword: terminated\n"],
] as const)("%s in the middle of many lines ends with %i and whole lines in order", async (signal, code, err) => {
  const ended = await oneword(["embed", "--file", many], (stop) => stop(signal));
  expect([ended.code, ended.err]).toEqual([code, err]);
  expect(ended.out).toMatch(/"}\n$/);
  const rows = ended.out.trimEnd().split("\n");
  expect(rows.map((row) => JSON.parse(row).index)).toEqual(rows.map((_, i) => i));
  expect(rows.length).toBeLessThan(100_000);
});

test("an interrupted --output leaves nothing beside it", async () => {
  const child = spawn(process.execPath, [main, "embed", "--file", many, "-o", join(folder, "v.npy")]);
  const ended = new Promise((done) => child.on("close", done));
  while ((await readdir(folder)).length === 1) await new Promise((turn) => setTimeout(turn, 20));
  expect(child.kill("SIGINT")).toBe(true);
  expect([await ended, await readdir(folder)]).toEqual([130, ["many.txt"]]);
});

describe.skipIf(process.platform === "win32")("in a shell", () => {
  test("head takes a line of many, and that is a quiet end with 0", async () => {
    const { code, out, err } = await shell(`oneword embed --file "${many}" | head -1`);
    expect([code, err, out.split("\n").length]).toEqual([0, "", 2]);
  });

  test.skipIf(!existsSync("/dev/full"))("a full disk is one line and exit 1", async () => {
    const { code, err } = await shell("oneword embed text > /dev/full");
    expect([code, err]).toEqual([1, "oneword: standard output: no space left on the disk.\n"]);
  });

  test("the examples of --help run as written", async () => {
    await writeFile(join(folder, "sentences.txt"), "A jockey riding a horse.\nA man on a horse.\n");
    const rows = '{"review":"good"}\n{"review":"bad"}\n';
    await writeFile(join(folder, "reviews.jsonl"), rows);
    const zipped = await shell(`gzip -k "${folder}/reviews.jsonl"`);
    expect(zipped.code).toBe(0);
    for (const command of ["embed", "similarity", "models"]) {
      const { out } = await oneword([command, "--help"]);
      const examples = [...out.matchAll(/^ {2}\$ (.*)$/gm)].map(([, example]) => example!);
      expect(examples.length).toBeGreaterThan(0);
      for (const example of examples) {
        const ended = await shell(`cd "${folder}"; ${example}`);
        expect([example, ended.code, ended.err.includes("oneword:")]).toEqual([example, 0, false]);
      }
    }
    const files = [
      "many.txt",
      "matrix.tsv",
      "reviews.jsonl",
      "reviews.jsonl.gz",
      "sentences.txt",
      "vectors.jsonl",
      "vectors.npy",
    ];
    expect(await readdir(folder)).toEqual(files);
  });
});
