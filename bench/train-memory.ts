import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { readExamples } from "../src/train/examples.ts";
import { type TrainPrecision, trainDefaults, trainPrecisions } from "../src/train/options.ts";
import { openTrainingModel } from "../src/train/training-model.ts";
import { Side } from "./side.ts";

/**
 * Resident memory of a training run for each way to hold the frozen weights, LoRA of rank 64 on all linear weights: each in a
 * process of its own, after the sessions are made, after one step, and the most in between.
 */
const { values } = parseArgs({
  options: {
    data: { type: "string", default: resolve(import.meta.dirname, "../../../shared/data/nli/triples.tsv.gz") },
    batch: { type: "string", default: "16" },
    "micro-batch-tokens": { type: "string", default: String(trainDefaults.microBatchTokens) },
    model: { type: "string", default: trainDefaults.model },
    precisions: { type: "string", default: trainPrecisions.join() },
    threads: { type: "string", default: "1" },
  },
});

const threads = Number(values.threads);
const { examples } = await readExamples(values.data, { columns: trainDefaults.columns });
const triples = examples
  .slice(0, Number(values.batch))
  .map(({ anchor, positive, hardNegative }) => [anchor, positive, hardNegative!]);
const micro = values["micro-batch-tokens"];
const microBatchTokens = micro === "batch" ? micro : Number(micro);
const print = (...cells: string[]): boolean => process.stdout.write(`| ${cells.join(" | ")} |\n`);
const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);

process.stdout.write(`${values.model}, ${triples.length} triples a step, ${micro} tokens a run, MiB\n`);
print("`--precision`", "loaded", "after a step", "peak");
print("---", "---", "---", "---");
for (const precision of values.precisions.split(",") as TrainPrecision[]) {
  const options = { ...trainDefaults, model: values.model, precision, data: [], output: "" };
  await openTrainingModel(options); // prepares the weights, where they are not yet, in this process
  const worker = resolve(import.meta.dirname, "train-worker.js");
  const setUp = { model: values.model, precision, microBatchTokens, threads, triples };
  const side = new Side(process.execPath, [worker], setUp, threads);
  const { residentBytes: loaded } = await side.started();
  const { residentBytes: after, peakBytes } = await side.run();
  side.close();
  print(`\`${precision}\``, ...[loaded!, after!, peakBytes].map(mebibytes));
}
