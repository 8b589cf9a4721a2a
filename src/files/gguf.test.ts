import { mkdtemp, open, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ModelError } from "../errors.ts";
import { readGguf } from "./gguf.ts";
import { readAt, withFile } from "./read-at.ts";

const fixture = fileURLToPath(new URL("../../test/fixtures/gguf/all-types.gguf", import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-gguf-"));
});
afterAll(() => rm(folder, { recursive: true }));

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
const string = (key: string, value: string): Buffer => Buffer.concat([text(key), u32(8), text(value)]);
const number = (key: string, value: number): Buffer => Buffer.concat([text(key), u32(4), u32(value)]);

interface Info {
  name: string;
  /** Innermost first, as in the file. */
  dims: (number | bigint)[];
  type: number;
  offset: number | bigint;
}

interface Layout {
  magic?: string;
  version?: number;
  tensorCount?: number | bigint;
  valueCount?: number | bigint;
  values?: Buffer[];
  tensors?: Info[];
  alignment?: number;
  dataBytes?: number;
}

function build({ magic = "GGUF", version = 3, values = [], tensors = [], alignment = 32, ...rest }: Layout): Buffer {
  const infos = tensors.map(({ name, dims, type, offset }) =>
    Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)]),
  );
  const counts = [u64(rest.tensorCount ?? tensors.length), u64(rest.valueCount ?? values.length)];
  const head = Buffer.concat([Buffer.from(magic), u32(version), ...counts, ...values, ...infos]);
  const padding = (alignment - (head.length % alignment)) % alignment;
  return Buffer.concat([head, Buffer.alloc(padding), Buffer.alloc(rest.dataBytes ?? 0)]);
}

async function save(contents: Uint8Array): Promise<string> {
  const file = join(folder, "model.gguf");
  await writeFile(file, contents);
  return file;
}

const read = async (layout: Layout): ReturnType<typeof readGguf> => readGguf(await save(build(layout)));

const float = { name: "a", dims: [4, 2], type: 0, offset: 0 }; // 32 bytes

async function expectError(contents: Uint8Array, code: string, pattern: RegExp): Promise<void> {
  const file = await save(contents);
  const error = await readGguf(file).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ModelError);
  const { code: actual, message } = error as ModelError;
  expect(message).toMatch(pattern);
  expect(actual).toBe(code);
  expect(message).toContain(file);
  expect(message).not.toContain("\n");
  if (code === "corrupt-file") expect(message).toMatch(/Download it again\.$/);
}

describe("a file of gguf-py", () => {
  test("gives every kind of metadata value as JavaScript has it", async () => {
    const { metadata } = await readGguf(fixture);
    expect({ ...metadata }).toEqual({
      "general.architecture": "llama",
      "test.uint8": 200,
      "test.int8": -100,
      "test.uint16": 60000,
      "test.int16": -30000,
      "test.uint32": 4000000000,
      "test.int32": -2000000000,
      "test.float32": 0.5,
      "test.float64": 0.1,
      "test.bool": true,
      "test.string": "Grüße 🙂",
      "test.uint64": 2 ** 53 - 1,
      "test.uint64.large": 2n ** 64n - 1n,
      "test.int64": -(2 ** 40),
      "test.strings": ["a", "", "Ġthe"],
      "test.integers": [1, -2, 3],
      "test.floats": [0.5, -1.5],
      "test.bools": [true, false],
      "test.nested": [[1, 2], [3]],
    });
  });

  test("gives shapes outermost first and the bytes of whole blocks", async () => {
    const { tensors } = await readGguf(fixture);
    expect(tensors.size).toBe(22);
    expect(tensors.get("Q4_K")).toMatchObject({ type: "Q4_K", shape: [3, 512], file: fixture, length: 6 * 144 });
    expect(tensors.get("Q4_1")).toMatchObject({ type: "Q4_1", shape: [3, 512], length: 48 * 20 });
    for (const { offset } of tensors.values()) expect(offset % 32).toBe(0);
  });
});

test("version 2 is read, and an alignment of 64 is kept", async () => {
  const second = { ...float, name: "b", offset: 64 };
  const values = [number("general.alignment", 64)];
  const { tensors } = await read({ version: 2, values, tensors: [float, second], alignment: 64, dataBytes: 96 });
  expect(tensors.get("a")!.offset % 64).toBe(0);
  expect(tensors.get("b")!.offset).toBe(tensors.get("a")!.offset + 64);
});

test("a head larger than the first chunk is read whole", async () => {
  const tokens = Array.from({ length: 5000 }, (_, i) => text(`${i}`.padStart(1000)));
  const array = Buffer.concat([text("tokenizer.ggml.tokens"), u32(9), u32(8), u64(tokens.length), ...tokens]);
  expect(array.length).toBeGreaterThan(4 << 20);
  const { metadata, tensors } = await read({ values: [array], tensors: [float], dataBytes: 32 });
  expect((metadata["tokenizer.ggml.tokens"] as string[])[4999]).toBe("4999".padStart(1000));
  expect(tensors.get("a")!.length).toBe(32);
});

test("a tensor beyond 4 GiB has an exact offset, and its bytes are there", async () => {
  const gap = 2 ** 32 + 32;
  const head = build({ tensors: [float, { ...float, name: "far", offset: gap }] });
  const file = await save(head);
  await truncate(file, head.length + gap + 32);
  await using handle = await open(file, "r+");
  await handle.write(Buffer.from("marker"), 0, 6, head.length + gap);
  const entry = (await readGguf(file)).tensors.get("far")!;
  expect(entry.offset).toBe(head.length + gap);
  const bytes = await withFile(file, (opened) => readAt(opened, entry.offset, 6));
  expect(bytes.toString()).toBe("marker");
});

test("names of Object.prototype are names like others", async () => {
  const values = [string("__proto__", "x"), string("constructor", "y")];
  const { metadata, tensors } = await read({ values, tensors: [{ ...float, name: "__proto__" }], dataBytes: 32 });
  expect(Object.keys(metadata)).toEqual(["__proto__", "constructor"]);
  expect([...tensors.keys()]).toEqual(["__proto__"]);
});

test("an empty tensor is allowed", async () => {
  const { tensors } = await read({ tensors: [{ ...float, dims: [0] }] });
  expect(tensors.get("a")).toMatchObject({ shape: [0], length: 0 });
});

describe("refuses", () => {
  const corrupt: [string, Layout, RegExp][] = [
    ["another magic", { magic: "GGML" }, /no GGUF file/],
    ["a tensor beyond the end", { tensors: [float], dataBytes: 22 }, /10 bytes are missing: "a"/],
    [
      "overlapping tensors",
      {
        tensors: [
          { ...float, dims: [16] },
          { ...float, name: "b", offset: 32 },
        ],
        dataBytes: 64,
      },
      /"b" and "a" share bytes/,
    ],
    [
      "a tensor off the alignment",
      { tensors: [{ ...float, offset: 8 }], dataBytes: 64 },
      /begins at 8.*multiple of 32/,
    ],
    ["two tensors of a name", { tensors: [float, { ...float, offset: 32 }], dataBytes: 64 }, /"a" is there twice/],
    ["two values of a key", { values: [number("k", 1), number("k", 2)] }, /"k" twice/],
    ["a product of dimensions over 2^53", { tensors: [{ ...float, dims: [2 ** 27, 2 ** 27] }] }, /over 2\^53/],
    ["a dimension of 64 bits", { tensors: [{ ...float, dims: [2n ** 64n - 1n] }] }, /no file can hold/],
    ["five dimensions", { tensors: [{ ...float, dims: [1, 1, 1, 1, 1] }] }, /5 dimensions/],
    ["a part of a block", { tensors: [{ ...float, dims: [48], type: 3 }] }, /"a", Q4_1 \[48\].*blocks of 32/],
    ["a part of a K block", { tensors: [{ ...float, dims: [32, 8], type: 12 }] }, /"a", Q4_K \[8, 32\].*blocks of 256/],
    ["more tensors than there are", { tensorCount: 3, tensors: [float] }, /of its head are missing/],
    ["2^60 tensors", { tensorCount: 2n ** 60n }, /no file can hold/],
    ["2^40 tensors", { tensorCount: 2n ** 40n }, /impossible/],
    [
      "more metadata than there are",
      { valueCount: 2 ** 40, values: [number("k", 1)], alignment: 1 },
      /of its head are missing/,
    ],
    ["an unknown kind of metadata", { values: [Buffer.concat([text("k"), u32(13)])] }, /unknown type 13/],
    ["a string longer than the file", { values: [Buffer.concat([text("k"), u32(8), u64(2 ** 40)])] }, /are missing/],
    [
      "an array longer than the file",
      { values: [Buffer.concat([text("k"), u32(9), u32(0), u64(2 ** 40)])] },
      /array of 1099511627776 values/,
    ],
    [
      "arrays nested without end",
      { values: [Buffer.concat([text("k"), u32(9), ...Array.from({ length: 50 }, () => [u32(9), u64(1)]).flat()])] },
      /nested too deep/,
    ],
    ["an alignment that is no power of two", { values: [number("general.alignment", 48)] }, /power of two/],
    ["an alignment of 0", { values: [number("general.alignment", 0)] }, /power of two/],
  ];
  test.each(corrupt)("%s", async (_, layout, pattern) => {
    await expectError(build(layout), "corrupt-file", pattern);
  });

  test("a head that is cut anywhere", async () => {
    const whole = build({ values: [string("k", "value")], tensors: [float], dataBytes: 32 });
    for (let length = 0; length < whole.length; length++) {
      await expectError(whole.subarray(0, length), "corrupt-file", /missing|no GGUF file/);
    }
  });

  test("an array that would take far more memory than file", async () => {
    const file = await save(build({ values: [Buffer.concat([text("k"), u32(9), u32(0), u64(5e6)])] }));
    await truncate(file, 6e6);
    await expect(readGguf(file)).rejects.toThrow(/over 4194304 values/);
    const nested = [u32(9), u64(3), ...Array.from({ length: 3 }, () => [u32(0), u64(2e6), Buffer.alloc(2e6)]).flat()];
    await expectError(
      build({ values: [Buffer.concat([text("k"), u32(9), ...nested])] }),
      "corrupt-file",
      /over 4194304/,
    );
  });

  test("a tensor type it does not read, and says which it does", async () => {
    const iq2 = { ...float, dims: [256], type: 16 };
    await expectError(build({ tensors: [iq2] }), "unsupported-type", /type 16.*F32, F16, Q4_0.*Q6_K, BF16/);
  });

  test("versions 1 and 4, and big-endian files", async () => {
    await expectError(build({ version: 1 }), "unsupported-type", /version 1/);
    await expectError(build({ version: 4 }), "unsupported-type", /version 4/);
    await expectError(build({ version: 3 << 24 }), "unsupported-type", /big-endian/);
  });

  test("one part of a split model", async () => {
    const values = [Buffer.concat([text("split.count"), u32(2), Buffer.from([3, 0])])];
    await expectError(build({ values }), "unsupported-type", /one of 3 parts.*--merge/);
  });

  test("a folder, and a file that is not there", async () => {
    await expect(readGguf(folder)).rejects.toThrow(/is not a file/);
    await expect(readGguf(join(folder, "none.gguf"))).rejects.toThrow(/none\.gguf is missing/);
  });
});

/** Whatever the bytes: an index whose entries lie in the file, or a ModelError. */
async function expectIndexOrModelError(contents: Uint8Array): Promise<void> {
  const file = await save(contents);
  try {
    const { size } = await stat(file);
    for (const { offset, length, shape } of (await readGguf(file)).tensors.values()) {
      expect(offset + length).toBeLessThanOrEqual(size);
      expect(shape.every(Number.isSafeInteger)).toBe(true);
    }
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
  }
}

test("arbitrary bytes after the magic give an index or a ModelError", async () => {
  const bytes = fc.uint8Array({ maxLength: 400 });
  await fc.assert(
    fc.asyncProperty(bytes, fc.nat(3), fc.nat(3), async (tail, tensorCount, valueCount) => {
      const head = [Buffer.from("GGUF"), u32(3), u64(tensorCount), u64(valueCount)];
      await expectIndexOrModelError(Buffer.concat([...head, tail]));
      await expectIndexOrModelError(tail);
    }),
    { numRuns: 120 },
  );
});

test("a damaged file gives an index or a ModelError", async () => {
  const values = [string("general.architecture", "llama"), number("general.alignment", 32)];
  const quantised = { name: "b", dims: [256, 2], type: 12, offset: 32 };
  const whole = build({ values, tensors: [float, quantised], dataBytes: 320 });
  const changes = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(changes, fc.nat(whole.length), async (replaced, cut) => {
      const damaged = Buffer.from(whole);
      for (const [at, value] of replaced) damaged[at] = value;
      await expectIndexOrModelError(damaged);
      await expectIndexOrModelError(damaged.subarray(0, cut));
    }),
    { numRuns: 200 },
  );
});
