import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readFloats, safetensorsPieces, toHalf } from "./float-tensors.ts";
import { dequantize } from "./gguf-blocks.ts";
import { readMetadata, readSafetensors } from "./safetensors.ts";

test("a written safetensors file reads back", async () => {
  const folder = await mkdtemp(join(tmpdir(), "oneword-float-tensors-"));
  const file = join(folder, "a.safetensors");
  const tensors = [
    { name: "b", shape: [2, 1], values: Float32Array.of(1.5, -2) },
    { name: "a", shape: [3], values: Float32Array.of(0, 65504, 2 ** -24) },
  ];
  for (const dtype of ["F32", "F16"] as const) {
    await writeFile(file, safetensorsPieces(tensors, dtype, { note: "x" }));
    const index = await readSafetensors(file);
    expect([...index.keys()]).toEqual(["a", "b"]);
    for (const { name, values } of tensors) expect(await readFloats(index.get(name)!)).toEqual(values);
    expect(await readMetadata(file)).toEqual({ note: "x" });
  }
  await rm(folder, { recursive: true });
});

test("every half is its own nearest half", () => {
  for (let bits = 0; bits < 65536; bits++) {
    const [value] = dequantize("F16", new Uint8Array(Uint16Array.of(bits).buffer), 1);
    if (!Number.isNaN(value)) expect(toHalf(value!)).toBe(bits);
  }
});

test("a number between two halves goes to the nearer, and to the even one in the middle", () => {
  expect(toHalf(1 + 2 ** -11)).toBe(0x3c00); // in the middle of 1 and 1 + 2^-10
  expect(toHalf(1 + 3 * 2 ** -11)).toBe(0x3c02);
  expect(toHalf(65520)).toBe(0x7c00); // halfway to 65536: infinity
  expect(toHalf(Number.NaN) & 0x7c00).toBe(0x7c00);
  const [low, high] = [2 ** -14, 60_000];
  fc.assert(
    fc.property(fc.double({ min: low, max: high, noNaN: true }), (value) => {
      const [half] = dequantize("F16", new Uint8Array(Uint16Array.of(toHalf(value)).buffer), 1);
      expect(Math.abs(half! - value) / value).toBeLessThanOrEqual(2 ** -11 * 1.0001);
    }),
  );
});
