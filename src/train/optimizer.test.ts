import { expect, test } from "vitest";
import { AdamW, clipByGlobalNorm } from "./optimizer.ts";

test("AdamW's first step is the learning rate against the gradient's sign, after the decay", () => {
  const parameters = Float32Array.of(1, -2, 3);
  const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };
  new AdamW(3, options).update(parameters, [Float32Array.of(5), Float32Array.of(-0.01, 0)], 0.1);
  expect([...parameters].map((x) => x.toFixed(5))).toEqual(["0.89000", "-1.88000", "2.97000"]); // 0.99 x − 0.1 sign(g)
});

test("AdamW's second step follows algorithm 2", () => {
  const parameters = Float32Array.of(0);
  const optimizer = new AdamW(1);
  optimizer.update(parameters, [Float32Array.of(1)], 0.1);
  optimizer.update(parameters, [Float32Array.of(-1)], 0.1);
  // m = 0.9 · 0.1 − 0.1 = −0.01, m̂ = −0.01 / 0.19; v̂ = (0.999 · 0.001 + 0.001) / 0.001999 = 1
  expect(parameters[0]).toBeCloseTo(-0.1 + (0.1 * 0.01) / 0.19, 6);
});

test("gradients over the norm are scaled to it, smaller ones stay", () => {
  const long = [Float32Array.of(3), Float32Array.of(4)];
  expect(clipByGlobalNorm(long, 1)).toBe(5);
  expect(long[0]![0]).toBeCloseTo(0.6, 5);
  const short = Float32Array.of(0.3, 0.4);
  clipByGlobalNorm([short], 1);
  expect([...short]).toEqual([...Float32Array.of(0.3, 0.4)]);
});
