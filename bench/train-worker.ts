import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { type BatchGradients, CachedGradients, DirectGradients } from "../src/train/batch-gradients.ts";
import { AdamW, clipByGlobalNorm } from "../src/train/optimizer.ts";
import { type TrainOptions, trainDefaults } from "../src/train/options.ts";
import { initialParameters } from "../src/train/parameters.ts";
import { openTrainingModel } from "../src/train/training-model.ts";

/** One side of bench/train.ts: a training step, optimizer included, on the same triples for every line. */
interface SetUp extends Pick<TrainOptions, "model" | "precision" | "device" | "threads"> {
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
const optimizer = new AdamW(parameters.values.length);
const column = (i: 0 | 1 | 2) => triples.map((triple) => prompts.encode(triple[i]));
const answer = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);

const name = `oneword ${setUp.precision}, ${setUp.microBatchTokens === "batch" ? "one run" : `${setUp.microBatchTokens} tokens a run`}`;
answer({ name, residentBytes: process.memoryUsage().rss - mappedTwice() });
while (!(await lines.next()).done) {
  const start = performance.now();
  const batch = {
    prefixTokens: prompts.prefix.length,
    anchors: column(0),
    positives: column(1),
    hardNegatives: column(2),
  };
  const { loss, gradients } = await engine.compute(batch, parameters);
  clipByGlobalNorm(gradients, options.maxGradNorm);
  optimizer.update(parameters.values, gradients, 1e-9); // the same loss again
  const seconds = (performance.now() - start) / 1000;
  const twice = mappedTwice();
  const peakBytes = process.resourceUsage().maxRSS * 1024 - twice;
  answer({ seconds, peakBytes, residentBytes: process.memoryUsage().rss - twice, first: [], loss });
}
await engine.close();

/** Bytes that are resident twice over, since two sessions map the same place of one file; 0 where the system does not tell. */
function mappedTwice(): number {
  let smaps: string;
  try {
    smaps = readFileSync("/proc/self/smaps", "utf8");
  } catch {
    return 0;
  }
  const most = new Map<string, number>();
  let twice = 0;
  for (const [, offset, file, kilobytes] of smaps.matchAll(
    /^\S+ \S+ (\S+) \S+ \S+ +(\/.+)\n(?:[A-Z].*\n)*?Rss: +(\d+) kB/gm,
  )) {
    const [place, resident] = [`${file} ${offset}`, Number(kilobytes)];
    const before = most.get(place) ?? 0;
    twice += Math.min(before, resident);
    most.set(place, Math.max(before, resident));
  }
  return twice * 1024;
}
