import type { SessionOptions } from "../src/runtime/session.ts";

/** Where golden numbers are computed: `ONEWORD_DEVICE=webgpu npx vitest run test/golden.test.ts`; the CPU by default. */
export const onDevice = { device: process.env.ONEWORD_DEVICE ?? "cpu" } as SessionOptions;
