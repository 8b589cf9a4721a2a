import { lstat, mkdtemp, open, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openOutputFile } from "./output-file.ts";
import type { ByteSink } from "./row-buffer.ts";
import { createVectorWriter, formatOfFile, type VectorFormat } from "./vector-writer.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-vectors-"));
});
afterEach(() => rm(folder, { recursive: true }));

const origin = { model: "smollm2-135m@sha256:00", recipeId: "2d20057c1a21ac50", recipe: '{"template":"{text}"}' };

/** Row i is [i, i + 0.1, …], rounded to float32. */
const rowOf = (i: number, hiddenSize: number) => Float32Array.from({ length: hiddenSize }, (_, d) => i + d / 10);

async function writeRows(format: VectorFormat, rows: number, hiddenSize: number): Promise<string> {
  const file = join(folder, `vectors.${format}`);
  const writer = await createVectorWriter(format, await openOutputFile(file), hiddenSize, origin);
  for (let i = 0; i < rows; i++) await writer.write(rowOf(i, hiddenSize));
  expect(await writer.end()).toBe(rows);
  expect(await readdir(folder)).toEqual([`vectors.${format}`]);
  return file;
}

test("JSONL: one object a line, numbers that read back as the same float32", async () => {
  const lines = (await readFile(await writeRows("jsonl", 3, 4), "utf8")).split("\n");
  expect(lines[1]).toBe('{"index":1,"embedding":[1,1.1,1.2,1.3],"recipe":"2d20057c1a21ac50"}');
  expect(lines).toHaveLength(4);
  expect(Float32Array.from(JSON.parse(lines[2]!).embedding)).toEqual(rowOf(2, 4));
});

test("CSV: a header, then index and numbers", async () => {
  expect(await readFile(await writeRows("csv", 2, 3), "utf8")).toBe("index,e0,e1,e2\n0,0,0.1,0.2\n1,1,1.1,1.2\n");
});

// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, "Format Version 1.0"
test.each([0, 1, 1000])(
  ".npy of %i rows: header as the format describes it, data little-endian float32",
  async (rows) => {
    const bytes = await readFile(await writeRows("npy", rows, 48));
    expect([...bytes.subarray(0, 8)]).toEqual([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]); // \x93NUMPY, version 1.0
    const headerLength = bytes.readUInt16LE(6 + 2);
    expect((10 + headerLength) % 64).toBe(0);
    const header = bytes.toString("latin1", 10, 10 + headerLength);
    expect(header).toMatch(
      new RegExp(`^\\{'descr': '<f4', 'fortran_order': False, 'shape': \\(${rows}, 48\\), \\} *\\n$`),
    );
    const data = bytes.subarray(10 + headerLength);
    expect(data.length).toBe(rows * 48 * 4);
    for (let i = 0; i < rows; i += 97) {
      for (const d of [0, 7, 47]) expect(data.readFloatLE((i * 48 + d) * 4)).toBe(rowOf(i, 48)[d]);
    }
  },
);

test.each([0, 1, 700])(
  "Parquet of %i rows: index int32, embedding list of float32, bounded row groups",
  async (rows) => {
    const hiddenSize = 4096; // 128 rows a group
    const file = await asyncBufferFromFile(await writeRows("parquet", rows, hiddenSize));
    const metadata = await parquetMetadataAsync(file);
    expect(Number(metadata.num_rows)).toBe(rows);
    expect(Object.fromEntries(metadata.key_value_metadata!.map(({ key, value }) => [key, value]))).toEqual({
      "oneword.model": origin.model,
      "oneword.recipe_id": origin.recipeId,
      "oneword.recipe": origin.recipe,
    });
    expect(metadata.row_groups.map((group) => Number(group.num_rows))).toEqual(
      rows === 700 ? [128, 128, 128, 128, 128, 60] : rows ? [1] : [],
    );
    const objects = await parquetReadObjects({ file });
    expect(objects.map(({ index }) => index)).toEqual(Array.from({ length: rows }, (_, i) => i));
    for (const i of rows === 700 ? [0, 127, 128, 699] : []) {
      expect(Float32Array.from(objects[i]!.embedding)).toEqual(rowOf(i, hiddenSize));
    }
  },
);

test.each(["jsonl", "csv", "npy", "parquet"] as const)(
  "%s: a number that is not finite never gets out",
  async (format) => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const sink = await openOutputFile(join(folder, "v"));
      const writer = await createVectorWriter(format, sink, 3, origin);
      await writer.write(rowOf(0, 3));
      await expect(writer.write(Float32Array.of(1, bad, 2))).rejects.toMatchObject({
        code: "nan-output",
        message: expect.stringMatching(/^input\[1\]: the vector holds .* in dimension 1\./),
      });
      await sink.discard();
    }
  },
);

test("the output appears only when it is whole, and a given up one leaves what was there", async () => {
  const file = join(folder, "v.jsonl");
  await writeFile(file, "before");
  const sink = await openOutputFile(file);
  await sink.write(Buffer.from("half"));
  expect(await readFile(file, "utf8")).toBe("before");
  await sink.discard();
  expect(await readdir(folder)).toEqual(["v.jsonl"]);
  expect(await readFile(file, "utf8")).toBe("before");
});

test("the output's bytes are on the disk before it has its name, and the name is after", async () => {
  const file = join(folder, "v.jsonl");
  const handle = await open(folder);
  const synced: string[][] = [];
  const sync = vi.spyOn(Object.getPrototypeOf(handle), "sync").mockImplementation(async () => {
    synced.push((await readdir(folder)).map((name) => name.replace(/^\..*/, "(hidden)")));
  });
  const sink = await openOutputFile(file);
  await sink.write(Buffer.from("whole"));
  await sink.close();
  sync.mockRestore();
  await handle.close();
  expect(synced).toEqual([["(hidden)"], ["v.jsonl"]]);
});

test("a link is followed, and what is not a regular file is written, not replaced", async () => {
  await writeFile(join(folder, "real"), "before");
  await symlink(join(folder, "real"), join(folder, "link"));
  const sink = await openOutputFile(join(folder, "link"));
  await sink.write(Buffer.from("after"));
  await sink.close();
  expect(await readFile(join(folder, "real"), "utf8")).toBe("after");
  const nowhere = await openOutputFile("/dev/null");
  await nowhere.write(Buffer.from("x"));
  await nowhere.close();
  expect((await stat("/dev/null")).isCharacterDevice()).toBe(true);
});

test("a link to what is not there yet is followed too, and a file stays as private as it was", async () => {
  await symlink("later", join(folder, "dangling"));
  await writeFile(join(folder, "private"), "before", { mode: 0o600 });
  for (const name of ["dangling", "private"]) {
    const sink = await openOutputFile(join(folder, name));
    await sink.write(Buffer.from("after"));
    await sink.close();
  }
  expect(await readFile(join(folder, "later"), "utf8")).toBe("after");
  expect((await lstat(join(folder, "dangling"))).isSymbolicLink()).toBe(true);
  expect((await stat(join(folder, "private"))).mode & 0o777).toBe(0o600);
});

test.each(["", "folder/"])("an output called %j is no file", async (name) => {
  await expect(openOutputFile(name)).rejects.toThrow(/--output .*: names no file/);
});

test("an output that cannot be created is named", async () => {
  await expect(openOutputFile(join(folder, "no", "v.csv"))).rejects.toMatchObject({
    code: "bad-option",
    message: expect.stringMatching(/v\.csv: the folder .*no does not exist/),
  });
  await expect(openOutputFile(folder)).rejects.toThrow(/is a folder/);
});

test("rows go out when the event loop turns, and a slow sink holds the writer back", async () => {
  const written: number[] = [];
  let release = (): void => {};
  const slow: ByteSink = {
    write: (bytes) => {
      written.push(bytes.length);
      return new Promise((resolve) => {
        release = resolve;
      });
    },
    close: async () => {},
    discard: async () => {},
  };
  const writer = await createVectorWriter("jsonl", slow, 2, origin);
  await writer.write(rowOf(0, 2));
  await new Promise((resolve) => setImmediate(resolve));
  expect(written).toEqual(['{"index":0,"embedding":[0,0.1],"recipe":"2d20057c1a21ac50"}\n'.length]);
  let accepted = 1;
  const pushing = (async () => {
    for (; accepted < 30_000; accepted++) await writer.write(rowOf(0, 2));
  })();
  await new Promise((resolve) => setImmediate(resolve));
  expect(accepted).toBeLessThan(10_000); // a chunk of 256 KB holds some 8,000 of these rows
  while (accepted < 30_000) {
    release();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await pushing;
  expect(written.length).toBeLessThan(10);
});

test("a sink's failure reaches the writer", async () => {
  const failing: ByteSink = {
    write: () => Promise.reject(new Error("gone")),
    close: async () => {},
    discard: async () => {},
  };
  const writer = await createVectorWriter("jsonl", failing, 2, origin);
  await writer.write(rowOf(0, 2));
  await new Promise((resolve) => setImmediate(resolve));
  await expect(writer.write(rowOf(1, 2))).rejects.toThrow("gone");
});

test.each([
  ["a/v.JSONL", "jsonl"],
  ["v.ndjson", "jsonl"],
  ["v.npy", "npy"],
  ["v.parquet", "parquet"],
  ["v.csv", "csv"],
  ["v.txt", undefined],
  ["csv", undefined],
])("the extension of %s stands for %s", (file, format) => {
  expect(formatOfFile(file)).toBe(format);
});
