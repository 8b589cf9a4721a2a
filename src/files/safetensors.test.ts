import { mkdir, mkdtemp, open, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ModelError } from "../errors.ts";
import { readAt, withFile } from "./read-at.ts";
import { parseIndex, readSafetensors, readSafetensorsIndex } from "./safetensors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-safetensors-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** The 8 bytes of the length, and the header. */
function head(header: string | Uint8Array | object): Buffer {
  const isRaw = typeof header === "string" || header instanceof Uint8Array;
  const bytes = Buffer.from(isRaw ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
}

const build = (header: string | Uint8Array | object, dataBytes = 0): Buffer =>
  Buffer.concat([head(header), Buffer.alloc(dataBytes)]);

const f32 = (shape: unknown, begin: unknown, end: unknown): object => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

async function save(contents: Uint8Array | string, name = "model.safetensors"): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, contents);
  return file;
}

async function expectError(result: Promise<unknown>, code: string, pattern: RegExp): Promise<void> {
  const error = await result.then(
    () => "no error",
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ModelError);
  const { code: actual, message } = error as ModelError;
  expect(message).toMatch(pattern);
  expect(actual).toBe(code);
  expect(message).toContain(folder);
  expect(message).not.toContain("\n");
  expect(message.length).toBeLessThan(600);
}

test("F32, F16 and BF16 tensors are where the header says, other types are left out", async () => {
  const header = {
    __metadata__: { format: "pt" },
    b: { dtype: "BF16", shape: [3], data_offsets: [0, 6] },
    ids: { dtype: "I64", shape: [1], data_offsets: [6, 14] },
    a: { dtype: "F32", shape: [2, 2], data_offsets: [14, 30] },
    packed: { dtype: "F4", shape: [3, 2], data_offsets: [30, 33] },
    flags: { dtype: "BOOL", shape: [2], data_offsets: [33, 35] },
    scalar: { dtype: "F16", shape: [], data_offsets: [35, 37] },
    empty: { dtype: "F16", shape: [0, 4], data_offsets: [37, 37] },
  };
  const file = await save(build(header, 37));
  const start = head(header).length;
  expect([...(await readSafetensors(file)).values()]).toEqual([
    { name: "b", type: "BF16", shape: [3], file, offset: start, length: 6 },
    { name: "a", type: "F32", shape: [2, 2], file, offset: start + 14, length: 16 },
    { name: "scalar", type: "F16", shape: [], file, offset: start + 35, length: 2 },
    { name: "empty", type: "F16", shape: [0, 4], file, offset: start + 37, length: 0 },
  ]);
});

test("names of Object.prototype are names like others", async () => {
  const header = `{"__proto__": ${JSON.stringify(f32([1], 0, 4))}, "constructor": ${JSON.stringify(f32([1], 4, 8))}}`;
  const file = await save(build(header, 8));
  expect([...(await readSafetensors(file)).keys()]).toEqual(["__proto__", "constructor"]);
});

test("a file without tensors gives an empty index", async () => {
  expect((await readSafetensors(await save(build("{}")))).size).toBe(0);
});

describe("refuses", () => {
  const length = (bytes: bigint, total: number): Buffer => {
    const file = Buffer.alloc(total, " ");
    file.writeBigUInt64LE(bytes);
    return file;
  };
  const nested = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
  const corrupt: [string, Buffer, RegExp][] = [
    ["an empty file", Buffer.alloc(0), /0 bytes are too few/],
    ["7 bytes", Buffer.alloc(7), /7 bytes are too few/],
    ["a header of 0 bytes", length(0n, 100), /header of 0 bytes is impossible/],
    ["a header that goes beyond the file", length(193n, 100), /101 bytes of its header are missing/],
    ["a header over 100 MB", length(100_000_001n, 100), /header of 100000001 bytes is impossible/],
    ["a header of 2^64 − 1 bytes", length(2n ** 64n - 1n, 100), /impossible/],
    ["a header that is not UTF-8", build(Buffer.from([0x7b, 0xff, 0x7d])), /not UTF-8/],
    ["a header that is not JSON", build("{"), /not JSON\./],
    ["a header that is an array", build("[]"), /not a JSON object/],
    ["a header that is null", build("null"), /not a JSON object/],
    ["an entry that is null", build({ a: null }), /entry for "a"/],
    ["an entry without a shape", build({ a: { dtype: "F32", data_offsets: [0, 0] } }), /entry for "a"/],
    [
      "an entry with three offsets",
      build({ a: { dtype: "F32", shape: [], data_offsets: [0, 4, 8] } }),
      /entry for "a"/,
    ],
    ["a negative dimension", build({ a: f32([-1], 0, 4) }, 4), /"a" has the impossible shape \[-1\]/],
    ["a fraction of a dimension", build({ a: f32([0.5], 0, 2) }, 2), /impossible shape \[0\.5\]/],
    ["a dimension that is a text", build({ a: f32(["1"], 0, 4) }, 4), /impossible shape \[\?\]/],
    [
      "a dimension that is nested deep",
      build(`{"a":{"dtype":"F32","shape":${nested},"data_offsets":[0,4]}}`),
      /\[\?\]/,
    ],
    ["a product of dimensions over 2^53", build({ a: f32([2 ** 27, 2 ** 27], 0, 4) }, 4), /over 2\^53/],
    [
      "a shape that does not fit its bytes",
      build({ a: f32([2, 3], 0, 20) }, 20),
      /F32 \[2, 3\], needs 24 bytes.*span 20/,
    ],
    ["an end before its begin", build({ a: f32([1], 8, 4) }, 8), /impossible data_offsets \[8, 4\]/],
    ["an offset that is no integer", build({ a: f32([1], 0.5, 4.5) }, 8), /impossible data_offsets/],
    ["an offset over 2^53", build({ a: f32([1], 2 ** 53, 2 ** 53 + 4) }, 8), /impossible data_offsets/],
    ["tensors that overlap", build({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12), /"b" and "a" share bytes/],
    ["a hole between tensors", build({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12), /4 bytes before "b" belong to no/],
    ["bytes before the first tensor", build({ a: f32([1], 4, 8) }, 8), /4 bytes before "a" belong to no tensor/],
    ["bytes after the last tensor", build({ a: f32([1], 0, 4) }, 9), /5 bytes at its end belong to no tensor/],
    ["a name of many lines, shown on one", build({ ["a\n".repeat(9999)]: f32([1], 0, 8) }, 8), /"a\\na\\n.*…"/],
  ];
  test.each(corrupt)("%s", async (_, contents, pattern) => {
    await expectError(readSafetensors(await save(contents)), "corrupt-file", pattern);
    await expectError(readSafetensors(await save(contents)), "corrupt-file", /Download it again\.$/);
  });

  test("a cut download, and says how many bytes are missing", async () => {
    const file = await save(build({ a: f32([4], 0, 16), b: f32([4], 16, 32) }, 21));
    await expectError(readSafetensors(file), "corrupt-file", /11 bytes are missing: "b" ends at byte/);
  });

  test("a dtype nobody knows", async () => {
    const file = await save(build({ a: { dtype: "F7", shape: [1], data_offsets: [0, 4] } }, 4));
    await expectError(readSafetensors(file), "unsupported-type", /"a" has the unknown dtype "F7".*F32, F16, BF16/);
    const inherited = await save(build({ a: { dtype: "toString", shape: [1], data_offsets: [0, 4] } }, 4));
    await expectError(readSafetensors(inherited), "unsupported-type", /unknown dtype "toString"/);
  });

  test("a folder, and a file that is not there", async () => {
    await expectError(readSafetensors(folder), "corrupt-file", /is not a file/);
    await expectError(readSafetensors(join(folder, "none")), "corrupt-file", /none is missing/);
  });
});

describe("a shard index", () => {
  const index = (weightMap: unknown): Promise<string> =>
    save(JSON.stringify({ metadata: {}, weight_map: weightMap }), "model.safetensors.index.json");
  const shards = { a: "one.safetensors", n: "one.safetensors", b: "two.safetensors" };
  const integers = { dtype: "I64", shape: [1], data_offsets: [4, 12] };

  beforeAll(async () => {
    await save(build({ a: f32([1], 0, 4), n: integers }, 12), "one.safetensors");
    await save(build({ b: f32([2], 0, 8) }, 8), "two.safetensors");
    await save(build({ b: f32([1], 0, 4), n: integers }, 12), "again.safetensors");
  });

  test("gives the float tensors of all shards, each with its file", async () => {
    const entries = await readSafetensorsIndex(await index(shards));
    expect([...entries.keys()]).toEqual(["a", "b"]);
    expect(entries.get("a")!.file).toBe(join(folder, "one.safetensors"));
    expect(entries.get("b")!.file).toBe(join(folder, "two.safetensors"));
  });

  test("names the shard that is missing", async () => {
    const file = await index({ ...shards, c: "three.safetensors" });
    await expectError(readSafetensorsIndex(file), "corrupt-file", /three\.safetensors is missing/);
  });

  test("does not claim a tensor that its shard lacks", async () => {
    const absent = await index({ ...shards, c: "two.safetensors" });
    await expectError(
      readSafetensorsIndex(absent),
      "corrupt-file",
      /"c" should be in two.safetensors, but is in no shard/,
    );
    const elsewhere = await index({ ...shards, n: "two.safetensors" });
    await expectError(readSafetensorsIndex(elsewhere), "corrupt-file", /"n" should be in two.*is in one\.safetensors/);
  });

  test("has no tensor twice", async () => {
    const file = await index({ b: "two.safetensors", n: "again.safetensors" });
    await expectError(readSafetensorsIndex(file), "corrupt-file", /"b" is in two shards, two.*and again/);
  });

  const outside = [
    "/etc/passwd",
    "..",
    "../one.safetensors",
    "sub/one.safetensors",
    "sub\\one.safetensors",
    "a\0b",
    "",
    ".",
  ];
  test.each([...outside, "C:one", 7, null, ["one.safetensors"]])("does not place a tensor in %j", async (shard) => {
    await expectError(readSafetensorsIndex(await index({ a: shard })), "corrupt-file", /"a" is placed in/);
  });

  test("must be JSON with a weight_map", async () => {
    for (const weightMap of [undefined, null, [], "one.safetensors"]) {
      await expectError(readSafetensorsIndex(await index(weightMap)), "corrupt-file", /no "weight_map"/);
    }
    await expectError(readSafetensorsIndex(await index({})), "corrupt-file", /"weight_map" is empty/);
    const noJson = await save("{", "model.safetensors.index.json");
    await expectError(readSafetensorsIndex(noJson), "corrupt-file", /it is not JSON/);
    await expectError(readSafetensorsIndex(join(folder, "none.json")), "corrupt-file", /none\.json is missing/);
  });

  test("keeps a tensor named __proto__", () => {
    const shardOf = parseIndex(Buffer.from('{"weight_map": {"__proto__": "one.safetensors"}}'), "index.json");
    expect([...shardOf]).toEqual([["__proto__", "one.safetensors"]]);
  });
});

test("a checkpoint of 66 billion weights is addressable: 30 shards over 4 GiB, read without their data", async () => {
  const [shardCount, matrices, hiddenSize] = [30, 26, 9216]; // OPT-66B's hidden size; 30 · 26 · 9216² = 66.2e9
  const matrixBytes = hiddenSize * hiddenSize * 2;
  const place = join(folder, "sparse");
  await mkdir(place);
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < shardCount; shard++) {
    const file = `model-${String(shard + 1).padStart(5, "0")}-of-00030.safetensors`;
    const header: Record<string, object> = {};
    for (let i = 0; i < matrices; i++) {
      const offsets = [i * matrixBytes, (i + 1) * matrixBytes];
      header[`layers.${shard}.${i}.weight`] = { dtype: "F16", shape: [hiddenSize, hiddenSize], data_offsets: offsets };
    }
    const dataBytes = matrices * matrixBytes + hiddenSize * 2;
    const offsets = [matrices * matrixBytes, dataBytes];
    header[`layers.${shard}.norm`] = { dtype: "F16", shape: [hiddenSize], data_offsets: offsets };
    for (const name of Object.keys(header)) weightMap[name] = file;
    const start = head(header);
    await using handle = await open(join(place, file), "wx");
    await handle.write(start);
    await handle.truncate(start.length + dataBytes);
    await handle.write(`norm of ${shard}`, start.length + offsets[0]!);
  }
  const indexFile = join(place, "model.safetensors.index.json");
  await writeFile(indexFile, JSON.stringify({ weight_map: weightMap }));

  const entries = await readSafetensorsIndex(indexFile);
  const weights = [...entries.values()].reduce((sum, { length }) => sum + length / 2, 0);
  expect(weights).toBe(shardCount * (matrices * hiddenSize ** 2 + hiddenSize));
  for (let shard = 0; shard < shardCount; shard++) {
    const { file, offset, length } = entries.get(`layers.${shard}.norm`)!;
    expect(offset).toBeGreaterThan(2 ** 32);
    expect(offset + length).toBe((await stat(file)).size);
    const marker = `norm of ${shard}`;
    const bytes = await withFile(file, (handle) => readAt(handle, offset, marker.length));
    expect(bytes.toString()).toBe(marker);
  }
  await rm(place, { recursive: true });
});

/** Whatever the bytes: an index whose entries lie in the file, or a ModelError. */
async function expectIndexOrModelError(contents: Uint8Array): Promise<void> {
  const file = await save(contents);
  try {
    for (const { offset, length } of (await readSafetensors(file)).values()) {
      expect(offset + length).toBeLessThanOrEqual(contents.length);
    }
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
  }
}

test("arbitrary bytes give an index or a ModelError", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      await expectIndexOrModelError(bytes);
      await expectIndexOrModelError(head(bytes));
    }),
    { numRuns: 100 },
  );
});

test("an arbitrary JSON header gives an index or a ModelError", async () => {
  const values = fc.oneof(fc.constantFrom("F32", "BOOL", 0, 4, -1, 2 ** 60, null), fc.jsonValue({ maxDepth: 2 }));
  const list = fc.oneof(fc.array(values, { maxLength: 3 }), values);
  const entry = fc.oneof(fc.record({ dtype: values, shape: list, data_offsets: list }), fc.jsonValue());
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.string(), entry, { maxKeys: 4 }), fc.nat(20), async (header, dataBytes) => {
      await expectIndexOrModelError(build(header, dataBytes));
    }),
    { numRuns: 120 },
  );
});

test("a damaged file gives an index or a ModelError", async () => {
  const whole = build({ a: f32([2, 3], 0, 24), n: { dtype: "U8", shape: [8], data_offsets: [24, 32] } }, 32);
  const changes = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(changes, fc.nat(whole.length), async (replaced, cut) => {
      const damaged = Buffer.from(whole);
      for (const [at, value] of replaced) damaged[at] = value;
      await expectIndexOrModelError(damaged);
      await expectIndexOrModelError(damaged.subarray(0, cut));
    }),
    { numRuns: 120 },
  );
});
