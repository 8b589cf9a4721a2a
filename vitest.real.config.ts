import { defineConfig } from "vitest/config";

/** The longer checks with the default model's real weights; .ci/run calls them. */
export default defineConfig({ test: { include: ["test/real/**/*.test.ts"], testTimeout: 300_000, pool: "forks" } });
