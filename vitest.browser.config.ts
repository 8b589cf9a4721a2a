import { defineConfig } from "vitest/config";

/** Pages that the command line writes, opened in Chromium: `npm run check:browser`. */
export default defineConfig({
  test: { include: ["test/browser/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 600_000, pool: "forks" },
});
