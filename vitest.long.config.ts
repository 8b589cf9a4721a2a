import { defineConfig } from "vitest/config";

/**
 * Whole evaluations with real weights, about eight minutes on two quiet cores: `npm run check:long`. One of them alone: `npx
 * vitest run --config vitest.long.config.ts -t "STS-B dev"`.
 */
export default defineConfig({ test: { include: ["test/long/**/*.test.ts"], testTimeout: 900_000, pool: "forks" } });
