import { createInterface } from "node:readline";
import { load } from "../src/index.ts";
import type { Device } from "../src/runtime/device.ts";
import type { Precision, RecipeOptions } from "../src/text/recipe.ts";
import type { Measure } from "./side.ts";

/** Our side of bench/embed.ts: reads the set-up, then runs once for every line and answers with one line of JSON. */
interface SetUp {
  readonly model: string;
  readonly device: Device;
  readonly precision: Precision;
  readonly batchTokens: number;
  readonly threads: number;
  readonly workers: number;
  readonly recipe: RecipeOptions;
  readonly sentences: readonly string[];
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { sentences, batchTokens, ...setUp } = JSON.parse((await lines.next()).value) as SetUp;
const { model: name, device, precision, recipe, workers } = setUp;
const threads = workers > 1 ? setUp.threads / workers : setUp.threads;
const model = await load(name, { device, precision, recipe, workers, threads });
const answer = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);

answer({ name: `oneword ${precision}${workers > 1 ? `, ${workers} workers` : ""}` });
while (!(await lines.next()).done) {
  const before = model.statistics;
  const start = performance.now();
  const rows = await model.embed(sentences, { batchTokens });
  const milliseconds = performance.now() - start;
  const { tokens, computedTokens, cells, runtimeMs } = model.statistics;
  const measure: Measure = {
    seconds: milliseconds / 1000,
    peakBytes: process.resourceUsage().maxRSS * 1024,
    first: Array.from(rows[0]!),
    tokensPerSentence: (tokens - before.tokens) / sentences.length,
    computedPerSentence: (computedTokens - before.computedTokens) / sentences.length,
    paddingShare: 1 - (tokens - before.tokens) / (cells - before.cells),
    outsideShare: 1 - (runtimeMs - before.runtimeMs) / workers / milliseconds,
  };
  answer(measure);
}
await model.close();
