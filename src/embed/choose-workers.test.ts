import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { chooseWorkers, type WorkerFacts, weightBytes } from "./choose-workers.ts";
import { physicalCores } from "./physical-cores.ts";

const facts: WorkerFacts = { device: "cpu", threads: undefined, cores: 4, weightBytes: 139e6, freeBytes: 8e9 };

test("many texts get a worker on each core", () => {
  expect(chooseWorkers(facts)).toBe(4);
  expect(chooseWorkers({ ...facts, cores: 7 })).toBe(7); // 973 MB of weights
});

test.each<[string, Partial<WorkerFacts>]>([
  ["there is one core", { cores: 1 }],
  ["the device is not the CPU", { device: "cuda" }],
  ["the caller chose the threads of a session", { threads: 4 }],
  ["all copies of the weights are over 1 GB, since fewer workers than cores would leave cores idle", { cores: 8 }],
  ["all copies of the weights are over a quarter of what is free", { freeBytes: 2e9 }],
])("there is one session where %s", (_why, changed) => {
  expect(chooseWorkers({ ...facts, ...changed })).toBe(1);
});

test("weights are counted as they are held: quantised ones with their scales, dense ones as float32", () => {
  const range = (length: number) => ({ file: "/w", offset: 0, length });
  expect(
    weightBytes([
      { kind: "dense", type: "bfloat16", shape: [2, 3], ...range(12) },
      { kind: "int8", type: "int8", shape: [4, 5], quants: range(20), scales: range(16) },
      {
        kind: "blocks",
        bits: 4,
        blockSize: 32,
        shape: [1, 64],
        quants: range(32),
        scales: range(8),
        zeroPoints: null,
        activations: "float32",
      },
    ]),
  ).toBe(24 + 36 + 40);
});

test("hardware threads of one core count once, and a process that may use fewer has fewer", () => {
  const folder = mkdtempSync(join(tmpdir(), "oneword-cores-"));
  for (const [processor, siblings] of ["0,2", "1,3", "0,2", "1,3"].entries()) {
    mkdirSync(join(folder, `cpu${processor}/topology`), { recursive: true });
    writeFileSync(join(folder, `cpu${processor}/topology/thread_siblings_list`), `${siblings}\n`);
  }
  mkdirSync(join(folder, "cpufreq"));
  expect(physicalCores(folder, 4)).toBe(2);
  expect(physicalCores(folder, 1)).toBe(1);
  expect(physicalCores(join(folder, "none"), 4)).toBe(4);
  rmSync(folder, { recursive: true });
});
