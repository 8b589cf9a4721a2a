import fc from "fast-check";
import { expect, test } from "vitest";
import { float32Text, maxFloat32Bytes } from "./float-text.ts";

// Shortest digits from std::to_chars(float) (C++17, "the representation with the smallest number of characters that
// round-trips"), as documented for these values; the notation, not the digits, follows JavaScript.
test.each([
  [0, "0"],
  [-0, "-0"],
  [1, "1"],
  [-2.5, "-2.5"],
  [0.1, "0.1"],
  [1 / 3, "0.33333334"],
  [16777216, "16777216"],
  [123456.789, "123456.79"],
  [1e-6, "0.000001"],
  [1.17549435e-38, "1.1754944e-38"],
  [1e-45, "1e-45"],
  [3.4028234663852886e38, "3.4028235e+38"],
])("writes float32 %d as %s", (value, text) => {
  expect(float32Text(Math.fround(value))).toBe(text);
});

test("any finite float32 comes back bit for bit from JSON and from a text of at most 9 digits", () => {
  fc.assert(
    fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
      const text = float32Text(value);
      expect(text.length).toBeLessThanOrEqual(maxFloat32Bytes);
      expect(Math.fround(JSON.parse(text))).toBe(value);
    }),
    { numRuns: 20_000 },
  );
});

test("no shorter decimal names the same float32, for numbers of the size embeddings have", () => {
  fc.assert(
    fc.property(fc.float({ min: Math.fround(1e-8), max: Math.fround(1e4), noNaN: true }), (value) => {
      const digits = (text: string) =>
        text
          .replace(/e.*/, "")
          .replace(".", "")
          .replace(/^0+|0+$/g, "").length;
      const shortest = [1, 2, 3, 4, 5, 6, 7, 8, 9].find((p) => Math.fround(Number(value.toPrecision(p))) === value);
      expect(digits(float32Text(value))).toBeLessThanOrEqual(shortest!);
    }),
    { numRuns: 20_000 },
  );
});
