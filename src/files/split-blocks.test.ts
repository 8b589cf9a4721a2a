import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { InternalError } from "../errors.ts";
import { readGguf } from "./gguf.ts";
import { readAt, withFile } from "./read-at.ts";
import { type SplitBlocks, splitBlocks } from "./split-blocks.ts";
import type { BlockType, TensorIndex } from "./tensor-index.ts";
import { blockSizes } from "./tensor-layout.ts";

const fixture = fileURLToPath(new URL("../../test/fixtures/gguf/all-types.gguf", import.meta.url));
const [rows, columns] = [3, 512];

let tensors: TensorIndex;
beforeAll(async () => {
  ({ tensors } = await readGguf(fixture));
});

const bytesOf = (name: string): Promise<Uint8Array> => {
  const { offset, length } = tensors.get(name)!;
  return withFile(fixture, (handle) => readAt(handle, offset, length));
};

/** What gguf-py makes of the tensor. */
const expected = async (type: BlockType): Promise<Float32Array> =>
  new Float32Array(Uint8Array.from(await bytesOf(`${type}.expected`)).buffer);

/** The definition of MatMulNBits, in float32 as its kernels compute it. */
function join({ bits, blockSize, quants, scales, zeroPoints }: SplitBlocks): Float32Array {
  const { fround } = Math;
  return Float32Array.from({ length: (quants.length * 8) / bits }, (_, i) => {
    const quant = bits === 8 ? quants[i]! : (quants[i >> 1]! >> (4 * (i & 1))) & 15;
    const block = Math.floor(i / blockSize);
    return scales[block]! * fround(quant - (zeroPoints?.[block] ?? 2 ** (bits - 1)));
  });
}

describe("splitBlocks", () => {
  const forms: [BlockType, 4 | 8, 16 | 32, boolean, number][] = [
    ["Q8_0", 8, 32, false, 8],
    ["Q4_0", 4, 32, false, 4],
    ["Q4_1", 4, 32, true, 4],
    ["Q5_0", 8, 32, false, 5],
    ["Q5_1", 8, 32, true, 5],
    ["Q4_K", 4, 32, true, 4],
    ["Q5_K", 8, 32, true, 5],
    ["Q6_K", 8, 16, false, 6],
  ];

  test.each(forms)("%s becomes %i bits in blocks of %i", async (type, bits, blockSize, hasZeroPoints) => {
    const split = splitBlocks(type, await bytesOf(type), rows, columns);
    const blocks = (rows * columns) / blockSize;
    expect(split).toMatchObject({ bits, blockSize });
    expect(split.quants.length).toBe((rows * columns * bits) / 8);
    expect(split.scales.length).toBe(blocks);
    expect(split.zeroPoints?.length ?? null).toBe(hasZeroPoints ? blocks : null);
  });

  for (const minBits of [4, 8] as const) {
    test.each(forms)(
      `%s is what it was, at ${minBits} bits or more`,
      async (type, _bits, _size, hasOffset, ownBits) => {
        const split = splitBlocks(type, await bytesOf(type), rows, columns, minBits);
        const [actual, wanted] = [join(split), await expected(type)];
        if (!hasOffset) {
          expect(actual.every((value, i) => value === wanted[i])).toBe(true);
          return;
        }
        const excess = actual.map((value, i) => {
          const block = Math.floor(i / split.blockSize);
          const scale = Math.abs(split.scales[block]!);
          const offset = scale * Math.abs(split.zeroPoints![block]!);
          return Math.abs(value - wanted[i]!) - 2 ** -21 * (offset + 2 ** ownBits * scale);
        });
        expect(Math.max(...excess)).toBeLessThanOrEqual(0);
      },
    );
  }

  test("a table gets a byte for each weight whatever the type", async () => {
    for (const [type] of forms) {
      const split = splitBlocks(type, await bytesOf(type), rows, columns, 8);
      expect(split.bits).toBe(8);
      expect(split.quants.length).toBe(rows * columns);
    }
  });

  test("two neighbours share a byte, the first in the low nibble", () => {
    const block = new Uint8Array(18); // Q4_0, d = 1; byte j holds weights j and j + 16
    block.set([0x00, 0x3c, 0x91, 0xa2]);
    const { quants, scales } = splitBlocks("Q4_0", block, 1, 32);
    expect(scales[0]).toBe(1);
    expect(quants[0]).toBe(0x21);
    expect(quants[8]).toBe(0xa9);
  });

  test("a block with the scale 0 is its offset exactly", () => {
    const block = new Uint8Array(20).fill(0x5a); // Q4_1: d = 0, m = 1.5, any quants
    block.set([0, 0, 0x00, 0x3e]);
    for (const minBits of [4, 8] as const) {
      const weights = join(splitBlocks("Q4_1", block, 1, 32, minBits));
      expect(weights).toEqual(new Float32Array(32).fill(1.5));
    }
  });

  test("a scale of 0 with an offset of 0 gives zeros, not NaN", async () => {
    for (const type of ["Q4_1", "Q5_1", "Q4_K", "Q5_K"] as const) {
      const { bytes, weights } = blockSizes[type];
      const zeros = join(splitBlocks(type, new Uint8Array(bytes), 1, weights));
      expect(zeros.every((value) => value === 0)).toBe(true);
    }
  });

  test("no rows give empty arrays of the same form", () => {
    const { bits, quants, scales, zeroPoints } = splitBlocks("Q4_K", new Uint8Array(0), 0, 256);
    expect([bits, quants.length, scales.length, zeroPoints?.length]).toEqual([4, 0, 0, 0]);
  });

  test("refuses rows that are not whole blocks", () => {
    expect(() => splitBlocks("Q4_K", new Uint8Array(144), 8, 32)).toThrow("32 columns of type Q4_K");
    expect(() => splitBlocks("Q4_0", new Uint8Array(18), 2, 32)).toThrow(InternalError);
  });
});
