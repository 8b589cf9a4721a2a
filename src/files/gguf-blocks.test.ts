import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { InternalError } from "../errors.ts";
import { readGguf } from "./gguf.ts";
import { dequantize } from "./gguf-blocks.ts";
import { readAt, withFile } from "./read-at.ts";
import type { StorageType, TensorIndex } from "./tensor-index.ts";
import { blockSizes } from "./tensor-layout.ts";

const fixture = fileURLToPath(new URL("../../test/fixtures/gguf/all-types.gguf", import.meta.url));
const [rows, columns] = [3, 512];
const types = Object.keys(blockSizes) as StorageType[];

let tensors: TensorIndex;
beforeAll(async () => {
  ({ tensors } = await readGguf(fixture));
});

const bytesOf = (name: string): Promise<Uint8Array> => {
  const { offset, length } = tensors.get(name)!;
  return withFile(fixture, (handle) => readAt(handle, offset, length));
};

async function expected(type: StorageType): Promise<Float32Array> {
  const bytes = await bytesOf(`${type}.expected`);
  return new Float32Array(Uint8Array.from(bytes).buffer);
}

const bitsOf = (weights: Float32Array): Uint32Array => new Uint32Array(weights.buffer);

describe("dequantize", () => {
  test.each(types)("%s equals gguf-py bit for bit", async (type) => {
    const weights = dequantize(type, await bytesOf(type), rows * columns);
    expect(bitsOf(weights)).toEqual(bitsOf(await expected(type)));
  });

  test.each(types)("%s does not depend on where in memory the bytes lie", async (type) => {
    const bytes = await bytesOf(type);
    const moved = new Uint8Array(bytes.length + 1).subarray(1);
    moved.set(bytes);
    const weights = dequantize(type, moved, rows * columns);
    expect(bitsOf(weights)).toEqual(bitsOf(await expected(type)));
  });

  test("F16 is right for each of the 65536 numbers", () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
    const weights = dequantize("F16", new Uint8Array(halves.buffer), 65536);
    const wrong = weights.findIndex((value, bits) => !Object.is(value, halfByDefinition(bits)));
    expect(wrong).toBe(-1);
  });

  test("refuses bytes that are not the count's", () => {
    expect(() => dequantize("Q4_0", new Uint8Array(17), 32)).toThrow(InternalError);
    expect(() => dequantize("F32", new Uint8Array(12), 4)).toThrow("4 weights of type F32 are 16 bytes, not 12");
  });
});

/** IEEE 754 binary16: (−1)^sign · 2^(exponent − 15) · 1.fraction; no leading 1 under the exponent 0. */
function halfByDefinition(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent ? sign * (1 + fraction) * 2 ** (exponent - 15) : sign * fraction * 2 ** -14;
}
