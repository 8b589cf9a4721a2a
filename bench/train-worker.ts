import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { type BatchGradients, CachedGradients, DirectGradients } from "../src/train/batch-gradients.ts";
import { AdamW, clipByGlobalNorm } from "../src/train/optimizer.ts";
import { type TrainOptions, trainDefaults } from "../src/train/options.ts";
import { FlatTensors, initialParameters } from "../src/train/parameters.ts";
import { openTrainingModel } from "../src/train/training-model.ts";

/** One side of bench/train.ts: a training step, optimizer included, on the same triples for every line. */
interface SetUp extends Pick<TrainOptions, "model" | "precision" | "threads"> {
  readonly microBatchTokens: number | "batch";
  readonly triples: readonly (readonly [string, string, string])[];
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { triples, ...setUp } = JSON.parse((await lines.next()).value) as SetUp;
const options: TrainOptions = { ...trainDefaults, ...setUp, data: [], output: "", dropout: 0, maxSentenceTokens: 512 };
const { adapted, prompts, session } = await openTrainingModel(options);
const engine: BatchGradients =
  setUp.microBatchTokens === "batch"
    ? await DirectGradients.create(adapted, options.temperature, session)
    : await CachedGradients.create(adapted, options.temperature, session, setUp.microBatchTokens);
const parameters = initialParameters(engine.tensors, options.seed);
const gradients = new FlatTensors(engine.tensors);
const optimizer = new AdamW(parameters.values.length);
const column = (i: 0 | 1 | 2) => triples.map((triple) => prompts.encode(triple[i]));
const answer = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);

const name = `oneword ${setUp.precision}, ${setUp.microBatchTokens === "batch" ? "one run" : `${setUp.microBatchTokens} tokens a run`}`;
answer({ name, residentBytes: residentBytes() });
let peakBytes = 0;
const watch = (): void => {
  peakBytes = Math.max(peakBytes, residentBytes());
};
setInterval(watch, 100).unref();
while (!(await lines.next()).done) {
  const start = performance.now();
  const batch = { prefix: prompts.prefix, anchors: column(0), positives: column(1), hardNegatives: column(2) };
  const loss = await engine.compute(batch, parameters, gradients);
  clipByGlobalNorm(gradients.values, options.maxGradNorm);
  optimizer.update(parameters.values, gradients.values, 1e-9); // the same loss again
  const seconds = (performance.now() - start) / 1000;
  watch();
  answer({ seconds, peakBytes, residentBytes: residentBytes(), first: [], loss });
}
await engine.close();

/** Pages of this process, those that two sessions map from one file counted once where the system tells. */
function residentBytes(): number {
  try {
    return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync("/proc/self/smaps_rollup", "utf8"))![1]) * 1024;
  } catch {
    return process.memoryUsage().rss;
  }
}
