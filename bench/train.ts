import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { resolveModel } from "../src/files/resolve-model.ts";
import { cleanUp } from "../src/text/clean-up.ts";
import { completeRecipe } from "../src/text/complete-recipe.ts";
import { fillParts, promptParts } from "../src/text/prompt-parts.ts";
import { readExamples } from "../src/train/examples.ts";
import { trainDefaults } from "../src/train/options.ts";
import { median, peerModel, Side } from "./side.ts";

/**
 * Triples per second and peak memory of a training step, LoRA of rank 64 on all linear weights, beside PyTorch + PEFT when
 * ONEWORD_PEER_PYTHON names a Python that has them, on the CPU or on CUDA. The sides take turns within each round. Peaks are of
 * resident pages, the device's memory is not in them; ours count what two sessions map from one file once.
 */
const { values } = parseArgs({
  options: {
    data: { type: "string", default: resolve(import.meta.dirname, "../../../shared/data/nli/triples.tsv.gz") },
    rounds: { type: "string", default: "3" },
    batch: { type: "string", default: "16" },
    threads: { type: "string", default: String(availableParallelism()) },
    model: { type: "string", default: "smollm2-135m" },
    device: { type: "string", default: "cpu" },
    /** Precision and most tokens of a run, or `batch`. */
    modes: { type: "string", default: "float32 batch,float32 256,nf4 256" },
  },
});

/** In which memory is touched for the first time. */
const warmUpRounds = 2;
const threads = Number(values.threads);
const { examples } = await readExamples(values.data, { columns: trainDefaults.columns });
const triples = examples
  .slice(0, Number(values.batch))
  .map(({ anchor, positive, hardNegative }) => [anchor, positive, hardNegative!]);
const files = await resolveModel(values.model);
const recipe = completeRecipe({}, { model: files.identity, precision: "float32" });
const [parts] = promptParts(recipe);
const prompts = triples.map((triple) => triple.map((text) => fillParts(parts!, cleanUp(text, recipe.cleanUp))));

const worker = resolve(import.meta.dirname, "train-worker.js");
const sides = values.modes.split(",").map((mode) => {
  const [precision, tokens] = mode.split(" ");
  const microBatchTokens = tokens === "batch" ? tokens : Number(tokens);
  const setUp = { model: values.model, device: values.device, threads, triples, precision, microBatchTokens };
  return new Side(process.execPath, [worker], setUp, threads);
});
const python = process.env.ONEWORD_PEER_PYTHON;
const peer = resolve(import.meta.dirname, "../../bench/train-peer.py");
if (python) sides.push(new Side(python, [peer], { model: peerModel(files), device: values.device, prompts }, threads));

for (const side of sides) await side.ready();
for (let round = 0; round < warmUpRounds; round++) for (const side of sides) await side.run();
for (const side of sides) side.measures.length = 0;
for (let round = 0; round < Number(values.rounds); round++) for (const side of sides) await side.run();
for (const side of sides) side.close();

const reference = sides.at(-1)!;
const print = (line: string): boolean => process.stdout.write(`${line}\n`);
print(
  `${triples.length} triples a step, ${values.device}, ${threads} threads, ${values.rounds} rounds in turn, medians`,
);
for (const side of sides) {
  const rate = triples.length / median(side.measures.map(({ seconds }) => seconds));
  const peak = Math.max(...side.measures.map(({ peakBytes }) => peakBytes)) / 2 ** 20;
  const ratios = side.measures.map(({ seconds }, i) => reference.measures[i]!.seconds / seconds);
  const beside = python ? ` · ${median(ratios).toFixed(2)} x ${reference.name}` : "";
  const { loss } = side.measures[0]!;
  print(
    `${side.name.padEnd(28)} ${rate.toFixed(2).padStart(7)} triples/s · peak ${peak.toFixed(0)} MiB · loss ${loss!.toFixed(4)}${beside}`,
  );
}
