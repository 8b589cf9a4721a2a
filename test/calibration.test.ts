import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { load } from "../src/embed/load.ts";
import { Encoder } from "../src/runtime/encoder.ts";
import { writeTinyModel } from "./tiny-model.ts";

test("a stop while int8 weights are calibrated takes effect before the next run", async () => {
  const folder = await mkdtemp(join(tmpdir(), "oneword-calibration-"));
  await writeTinyModel(folder);
  const stop = new AbortController();
  const { outputs } = Encoder.prototype;
  const runs = vi.spyOn(Encoder.prototype, "outputs").mockImplementation(function (this: Encoder, ...args) {
    setImmediate(() => stop.abort()); // as an interrupt comes: between two runs
    return outputs.apply(this, args);
  });
  const options = { precision: "int8", cacheDir: join(folder, "cache"), offline: true, signal: stop.signal } as const;
  await expect(load(folder, options)).rejects.toMatchObject({ code: "aborted" });
  expect(runs).toHaveBeenCalledTimes(1);
  runs.mockRestore();
  await rm(folder, { recursive: true });
});
