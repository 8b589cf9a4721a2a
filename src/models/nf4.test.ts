import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nf4Numbers } from "../../test/nf4-numbers.ts";
import { absmaxValues, nf4Sizes, quantizeNf4 } from "./nf4.ts";

/** Written by nf4/make.py. */
interface Expected {
  readonly quants: number[];
  readonly codes: number[];
  readonly scale: number[];
  readonly mean: number;
  readonly codeValues: number[];
  readonly dequantised: number[];
}
const file = join(import.meta.dirname, "../../test/fixtures/nf4/bitsandbytes.json");
const expected: Expected = JSON.parse(readFileSync(file, "utf8"));

/** The script's weights. */
function fixtureWeights(): Float32Array {
  let seed = 1;
  return Float32Array.from({ length: 16384 }, (_, i) => {
    seed = (seed * 16807) % 2147483647;
    return (seed / 2147483647 - 0.5) * (1 + ((Math.floor(i / 64) * 7) % 13));
  });
}

test("the values of an absmax's code are bitsandbytes'", () => {
  absmaxValues.forEach((value, code) => {
    expect(value).toBeCloseTo(expected.codeValues[code]!, 6);
  });
});

test("256 blocks get bitsandbytes' quants, codes, scale, mean and numbers", () => {
  const made = quantizeNf4(fixtureWeights());
  expect([...made.quants.subarray(0, expected.quants.length)]).toEqual(expected.quants);
  // Torch's mean is a unit in the last place smaller, which one absmax between two codes feels.
  const others = [...made.codes].flatMap((code, i) => (code === expected.codes[i] ? [] : [code - expected.codes[i]!]));
  expect(others).toEqual([1]);
  expect(made.scales[0]).toBeCloseTo(expected.scale[0]!, 6);
  expect(made.means[0]).toBeCloseTo(expected.mean, 6);
  const numbers = nf4Numbers(made);
  for (const [i, value] of expected.dequantised.entries()) expect(numbers[i]).toBeCloseTo(value, 5);
});

test("a weight costs 0.5162 bytes", () => {
  const weights = new Float32Array(4 * 16384).fill(1);
  const bytes = Object.values(quantizeNf4(weights)).reduce((sum, part) => sum + part.byteLength, 0);
  expect(bytes / weights.length).toBeCloseTo(0.5 + 1 / 64 + 8 / 16384, 9);
});

test("quantising the scales once more moves evenly distributed weights by under a fifth of what 4 bits do", () => {
  const weights = fixtureWeights().map((value, i) => value / (1 + ((Math.floor(i / 64) * 7) % 13)));
  const blocks = quantizeNf4(weights);
  const rounded = nf4Numbers(blocks);
  let [error, size, ofScales] = [0, 0, 0];
  for (let block = 0; block < 256; block++) {
    const own = weights.subarray(block * 64, (block + 1) * 64);
    const absmax = own.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    const held = absmaxValues[blocks.codes[block]!]! * blocks.scales[0]! + blocks.means[0]!;
    for (const [i, value] of own.entries()) {
      const was = rounded[block * 64 + i]!;
      error += (was - value) ** 2;
      ofScales += (was * (1 - absmax / held)) ** 2;
      size += value ** 2;
    }
  }
  expect(Math.sqrt(error / size)).toBeLessThan(0.12);
  expect(Math.sqrt(ofScales / error)).toBeLessThan(0.2);
});

test("a block of zeros stays zeros beside others", () => {
  const weights = fixtureWeights().fill(0, 640, 704);
  expect([...nf4Numbers(quantizeNf4(weights)).subarray(640, 704)].every((value) => value === 0)).toBe(true);
});

test("equal blocks keep their absmax to the bit", () => {
  const { scales, means } = quantizeNf4(new Float32Array(128).fill(-0.3));
  expect([scales[0], means[0]]).toEqual([0, Math.fround(0.3)]);
});

test("a last group that is not full takes a whole group of codes", () => {
  expect(nf4Sizes(16384 + 64)).toEqual({ blocks: 257, groups: 2 });
  expect(quantizeNf4(new Float32Array(16384 + 64)).codes.length).toBe(512);
});

test("a weight that is no number stays one that is none", () => {
  const weights = fixtureWeights();
  weights[100] = Number.NaN;
  expect(nf4Numbers(quantizeNf4(weights))[100]).toBeNaN();
});
