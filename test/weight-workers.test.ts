import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { preparedPlace, preparedRoot, weightsFile } from "../src/files/prepared.ts";
import type { TensorEntry } from "../src/files/tensor-index.ts";
import { columnMaxima } from "../src/models/column-maxima.ts";
import { type DeriveOptions, deriveWeights } from "../src/models/derived-weights.ts";
import { planForm, type WeightForm } from "../src/models/weight-plan.ts";

/** The built package: workers are threads there, and the sources' own thread is what they are compared with. */
const built = <T>(file: string): Promise<T> => import(resolve(import.meta.dirname, "../dist", file));

const forms: readonly WeightForm[] = [
  "raw",
  "float32",
  "blocks",
  "byteBlocks",
  "int4Blocks",
  "int8",
  "uint8",
  "int8Rows",
  "int4",
  "nf4",
];
const [rows, columns] = [4700, 448]; // two spans, the last one shorter
let folder: string;
const entries = new Map<string, TensorEntry>();
const rescale = new Map([
  ["int8", { columns: new Float32Array(columns).fill(1.5), rows: new Float32Array(rows).fill(3) }],
]);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-workers-"));
  const floats = join(folder, "floats.bin");
  const blocks = join(folder, "blocks.bin");
  const values = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i) * (1 + (i % 7)));
  await writeFile(floats, values);
  const blockBytes = Buffer.alloc((rows * columns * 20) / 32, "bytes of Q4_1 blocks: all of them numbers ");
  await writeFile(blocks, blockBytes);
  for (const form of forms) {
    const isBlocks = /blocks/i.test(form);
    const file = isBlocks ? blocks : floats;
    const length = isBlocks ? blockBytes.length : values.byteLength;
    const type = isBlocks ? "Q4_1" : "F32";
    entries.set(form, { name: form, type, shape: [rows, columns], file, offset: 0, length });
  }
});
afterAll(() => rm(folder, { recursive: true }));

/** A weight and B A, of rank 2. */
const added = new Map([
  [
    "int8",
    {
      a: Float32Array.from({ length: 2 * columns }, (_, i) => Math.cos(i)),
      b: Float32Array.from({ length: rows * 2 }, (_, i) => Math.sin(i / 9)),
    },
  ],
]);

const optionsFor = (name: string, threads: number): DeriveOptions => ({
  cacheFolder: join(folder, name),
  origin: { name: "m", identity: "sha256:1", precision: "int8", madeFrom: folder, variant: "" },
  formOf: (_, form) => form as WeightForm,
  added,
  rescale: async () => rescale,
  threads,
});

async function sha256OfWeights(options: DeriveOptions): Promise<string> {
  const bytes = await readFile(weightsFile(preparedPlace(options.cacheFolder, options.origin).folder));
  return createHash("sha256").update(bytes).digest("hex");
}

describe("worker threads", () => {
  test("give the same bytes, however many there are", async () => {
    const threaded = await built<typeof import("../src/models/derived-weights.ts")>("models/derived-weights.js");
    const own = optionsFor("own", 0);
    await deriveWeights(entries, own);
    const sums = new Set([await sha256OfWeights(own)]);
    for (const threads of [1, 3]) {
      const options = optionsFor(`threads-${threads}`, threads);
      await threaded.deriveWeights(entries, options);
      sums.add(await sha256OfWeights(options));
    }
    expect(sums.size).toBe(1);
  });

  test("find the same column maxima", async () => {
    const threaded = await built<typeof import("../src/models/column-maxima.ts")>("models/column-maxima.js");
    const floats = [entries.get("int8")!, entries.get("nf4")!];
    const own = await columnMaxima(floats, { threads: 0 });
    expect(await threaded.columnMaxima(floats, { threads: 2 })).toEqual(own);
    expect(Math.max(...own.get(floats[0]!)!)).toBeCloseTo(7, 3);
  });

  test("add a product of low rank before anything else", async () => {
    const threaded = await built<typeof import("../src/models/column-maxima.ts")>("models/column-maxima.js");
    const entry = entries.get("int8")!;
    const pair = added.get("int8")!;
    const found = await threaded.columnMaxima([entry], { threads: 1, addedTo: () => pair });
    const sum = (row: number, column: number): number => {
      const i = row * columns + column;
      const [b0, b1] = pair.b.subarray(row * 2, row * 2 + 2) as unknown as [number, number];
      return Math.sin(i) * (1 + (i % 7)) + b0 * pair.a[column]! + b1 * pair.a[columns + column]!;
    };
    for (const column of [0, 1, columns - 1]) {
      const expected = Array.from({ length: rows }, (_, row) => Math.abs(sum(row, column)));
      expect(found.get(entry)![column]).toBeCloseTo(Math.max(...expected), 4);
    }
  });

  test("end with the signal, and leave nothing behind", async () => {
    const threaded = await built<typeof import("../src/models/derived-weights.ts")>("models/derived-weights.js");
    const stop = new AbortController();
    const options = { ...optionsFor("stopped", 2), signal: stop.signal, onProgress: () => stop.abort() };
    await expect(threaded.deriveWeights(entries, options)).rejects.toMatchObject({ code: "aborted" });
    expect(await readdir(preparedRoot(options.cacheFolder))).toEqual([]);
    expect(await readdir(join(options.cacheFolder, "locks"))).toEqual([]);
  });

  test("hand on an error with its class and code", async () => {
    const threaded = await built<typeof import("../src/models/derived-weights.ts")>("models/derived-weights.js");
    const errors = await built<typeof import("../src/errors.ts")>("errors.js");
    const cut = new Map([["int8", { ...entries.get("int8")!, offset: 1e9 }]]);
    const failed = threaded.deriveWeights(cut, optionsFor("cut", 1));
    await expect(failed).rejects.toThrow(errors.ModelError);
    await expect(failed).rejects.toMatchObject({
      code: "corrupt-file",
      message: expect.stringContaining("floats.bin"),
    });
  });
});

test("int4 of rows that are no whole blocks is refused by name, before anything is written", () => {
  const entry: TensorEntry = {
    name: "narrow",
    type: "F32",
    shape: [4, 48],
    file: "a.safetensors",
    offset: 0,
    length: 768,
  };
  const plan = { reserve: () => expect.unreachable("nothing is planned") };
  expect(() => planForm(entry, "int4", plan as never)).toThrow(
    /a\.safetensors: "narrow": rows of 48 weights are no whole blocks of 32/,
  );
});
