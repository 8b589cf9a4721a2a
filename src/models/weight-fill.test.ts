import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeForm } from "../../test/write-form.ts";
import type { TensorEntry } from "../files/tensor-index.ts";
import { quantizeNf4 } from "./nf4.ts";
import { spansOf } from "./weight-fill.ts";
import type { Nf4Tensor } from "./weights.ts";

const entryOf = (rows: number, columns: number, file = "w.bin"): TensorEntry => ({
  name: "w",
  type: "F32",
  shape: [rows, columns],
  file,
  offset: 0,
  length: rows * columns * 4,
});

test.each([1, 32, 160, 576, 1536, 4096, 28672])("spans of rows of %i hold whole groups of NF4 blocks", (columns) => {
  const rows = Math.ceil(9e6 / columns);
  const spans = [...spansOf(entryOf(rows, columns))];
  expect(spans.length).toBeGreaterThan(1);
  for (const { start } of spans) expect((start * columns) % 16384).toBe(0);
  expect(spans.reduce((sum, { count }) => sum + count, 0)).toBe(rows);
});

test("a weight of several spans has in NF4 the parts that it has as a whole", async () => {
  const folder = await mkdtemp(join(tmpdir(), "oneword-fill-"));
  const [rows, columns] = [13200, 160]; // 33,000 blocks, the last group of which is not full
  const weights = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i) * (1 + (Math.floor(i / 64) % 7)));
  const entry = entryOf(rows, columns, join(folder, "source.bin"));
  await writeFile(entry.file, weights);
  expect([...spansOf(entry)].length).toBe(2);
  const stored = (await writeForm(entry, "nf4", join(folder, "nf4.bin"))) as Nf4Tensor;
  const bytes = await readFile(join(folder, "nf4.bin"));
  await rm(folder, { recursive: true });
  const whole = quantizeNf4(weights);
  for (const part of ["quants", "codes", "scales", "means"] as const) {
    const { offset, length } = stored[part];
    const expected = Buffer.from(whole[part].buffer);
    expect(bytes.subarray(offset, offset + length).equals(expected)).toBe(true);
  }
});
