import { expect, test } from "vitest";
import type { StoredTensor } from "../models/weights.ts";
import { precisions } from "../text/recipe.ts";
import { devices } from "./device.ts";
import { checkPrecision, checkStoredWeights, defaultPrecision } from "./device-precision.ts";

const range = { file: "/w", offset: 0, length: 4 };
const dense: StoredTensor = { kind: "dense", type: "float16", shape: [2], ...range };
const nf4: StoredTensor = { kind: "nf4", shape: [2, 64], quants: range, codes: range, scales: range, means: range };

test("the CPU takes every precision, and stored weights unless told otherwise", () => {
  for (const precision of precisions) checkPrecision(precision, "cpu");
  checkStoredWeights({ tensors: new Map([["w", nf4]]), source: "m" }, "cpu");
  expect(defaultPrecision("cpu")).toBe("stored");
});

test.each(devices.filter((device) => device !== "cpu"))(
  "%s computes in float16, and refuses quantised weights",
  (device) => {
    expect(defaultPrecision(device)).toBe("float16");
    for (const precision of ["stored", "float32", "float16"] as const) checkPrecision(precision, device);
    checkStoredWeights({ tensors: new Map([["w", dense]]), source: "m" }, device);
    for (const precision of ["int8", "int4", "nf4"] as const) {
      expect(() => checkPrecision(precision, device)).toThrow(
        `precision ${precision} runs on the cpu only; ${device} takes float16`,
      );
    }
    const quantised = {
      tensors: new Map<string, StoredTensor>([
        ["a", dense],
        ["b", nf4],
      ]),
      source: "/m.gguf",
    };
    expect(() => checkStoredWeights(quantised, device)).toThrow(
      /^\/m\.gguf: its weights are quantised.*leave the precision out/,
    );
  },
);
