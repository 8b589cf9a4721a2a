import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readTrainConfig } from "./train-config.ts";

let file: string;
beforeAll(async () => {
  file = join(await mkdtemp(join(tmpdir(), "oneword-config-")), "train.json");
});
afterAll(() => rm(join(file, ".."), { recursive: true }));

async function read(json: unknown) {
  await writeFile(file, JSON.stringify(json));
  return readTrainConfig(file);
}

test("flags of a file are those of a command line", async () => {
  const flags = { data: ["a.tsv", "b.tsv"], layer: 26, learningRate: 5e-4, microBatchTokens: "batch", resume: true };
  expect(await read({ ...flags, quiet: false, dashboard: true, template: "-- {text}" })).toEqual({
    ...flags,
    dashboard: true,
    template: "-- {text}",
  });
});

test.each([
  [{ learning_rate: 1 }, /train\.json: no flag is called "learning_rate"; there are data, output, .*learningRate/],
  [{ config: "other.json" }, /no flag is called "config"/],
  [{ rank: 0 }, /option '--rank <count>' argument '0' is invalid\. It must be a whole number over 0/],
  [{ microBatchTokens: "all" }, /'--micro-batch-tokens <count>' argument 'all' is invalid/],
  [{ precision: "float8" }, /argument 'float8' is invalid\. Allowed choices are float32, stored/],
  [{ resume: "yes" }, /resume is a string, but must be true or false/],
  [{ rank: { r: 4 } }, /rank is an object, but must be a string or a number/],
  [{ rank: ["4", "8"] }, /rank is a list, but must be a string or a number/],
  [["rank"], /a list, not a JSON object/],
])("what no command line could say is an error: %j", async (json, message) => {
  await expect(read(json)).rejects.toThrow(message);
});
