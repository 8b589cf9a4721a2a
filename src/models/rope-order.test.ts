import { expect, test } from "vitest";
import { reorderHeads } from "./rope-order.ts";

test("the halves of every head are interleaved for GGUF, and apart again for transformers", () => {
  const rows = Float32Array.of(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7); // two heads of four, two columns
  const gguf = reorderHeads(rows, 8, 4, "gguf");
  expect([...gguf].filter((_, i) => i % 2 === 0)).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  expect(reorderHeads(gguf, 8, 4, "hf")).toEqual(rows);
});
