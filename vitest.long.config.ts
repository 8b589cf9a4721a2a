import { defineConfig } from "vitest/config";

/** Whole evaluations with real weights, many minutes on two cores: `npm run check:long`. */
export default defineConfig({ test: { include: ["test/long/**/*.test.ts"], testTimeout: 900_000, pool: "forks" } });
