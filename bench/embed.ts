import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { cosineSimilarity } from "../src/embed/pooling.ts";
import { cacheFolder } from "../src/files/cache-folder.ts";
import { resolveModel } from "../src/files/resolve-model.ts";
import { openCheckpoint } from "../src/models/checkpoint.ts";
import { findArchitecture } from "../src/models/registry.ts";
import { cleanUp } from "../src/text/clean-up.ts";
import { completeRecipe } from "../src/text/complete-recipe.ts";
import { fillParts, promptParts } from "../src/text/prompt-parts.ts";
import type { RecipeOptions } from "../src/text/recipe.ts";
import { type Measure, median, peerModel, Side } from "./side.ts";

/**
 * Sentences per second and peak memory on the first sentences of STS-B dev, in the plain template and with one
 * demonstration, in several modes; beside PyTorch (float32, bfloat16) when ONEWORD_PEER_PYTHON names a Python with torch,
 * transformers and gguf, and on the CPU beside the int8 products alone. All sides take turns within each round; a ratio is the
 * median of the rounds' ratios.
 */
const { values } = parseArgs({
  options: {
    data: { type: "string", default: resolve(import.meta.dirname, "../../data/stsb-dev.tsv") },
    rounds: { type: "string", default: "5" },
    sentences: { type: "string", default: "512" },
    threads: { type: "string", default: String(availableParallelism()) },
    model: { type: "string", default: "smollm2-135m" },
    modes: { type: "string", default: "float32,stored,int8,int8 workers,int4" },
    recipes: { type: "string", default: "template,demonstration" },
    device: { type: "string", default: "cpu" },
    "batch-tokens": { type: "string", default: "1024" },
    "peer-batch": { type: "string", default: "64" },
    json: { type: "string" },
  },
});

const recipes: Readonly<Record<string, RecipeOptions>> = {
  template: {},
  demonstration: { demonstrations: [{ sentence: "A jockey riding a horse.", word: "Equestrian" }] },
};
const threads = Number(values.threads);
const lines = readFileSync(values.data, "utf8").split("\n").slice(1).filter(Boolean);
const sentences = lines.flatMap((row) => row.split("\t").slice(1, 3)).slice(0, Number(values.sentences));
const files = await resolveModel(values.model);
const python = process.env.ONEWORD_PEER_PYTHON;
const peers = python ? ["float32", "bfloat16"] : [];
const built = (name: string): string => resolve(import.meta.dirname, name);

function ourSide(mode: string, recipe: RecipeOptions): Side {
  const [precision, workers] = mode.split(" ");
  const batchTokens = Number(values["batch-tokens"]);
  const { model, device } = values;
  const setUp = { model, device, precision, threads, workers: workers ? threads : 1, batchTokens, recipe, sentences };
  return new Side(process.execPath, [built("worker.js")], setUp, threads);
}

function peerSide(dtype: string, options: RecipeOptions): Side {
  const recipe = completeRecipe(options, { model: files.identity, precision: "float32" });
  const [parts] = promptParts(recipe);
  const prompts = sentences.map((sentence) => fillParts(parts!, cleanUp(sentence, recipe.cleanUp)));
  const setUp = { model: peerModel(files), prompts, dtype, device: values.device, batch: Number(values["peer-batch"]) };
  return new Side(python!, [resolve(import.meta.dirname, "../../bench/peer.py")], setUp, threads);
}

/** The linear products of the tokens that are computed, and nothing else. */
async function limitSide(computedPerSentence: number): Promise<Side> {
  const opened = await openCheckpoint(files, { precision: "stored", cacheFolder: cacheFolder() });
  const architecture = findArchitecture(opened.config, opened.configSource);
  const { numLayers } = architecture.readConfig(opened.config, opened.configSource);
  const scope = architecture.layerScope(0);
  const linears = [...opened.checkpoint.tensors].filter(
    ([name, { shape }]) => name.startsWith(`${scope}.`) && shape.length === 2,
  );
  const setUp = {
    threads,
    rows: 1024,
    tokens: Math.round(computedPerSentence * sentences.length),
    sentences: sentences.length,
    layers: numLayers,
    shapes: linears.map(([, { shape }]) => [shape[1], shape[0]]),
    everyToken: linears.flatMap(([name], i) => (/\.[kv]_proj\./.test(name) ? [i] : [])),
  };
  return new Side(process.execPath, [built("int8-limit.js")], setUp, threads);
}

interface Row {
  readonly name: string;
  readonly sentencesPerSecond: number;
  readonly peakMiB: number;
  readonly ratios: Readonly<Record<string, number>>;
  readonly cosine: number;
  readonly last: Measure;
}

async function measure(recipe: RecipeOptions): Promise<Row[]> {
  const ours = values.modes.split(",").map((mode) => ourSide(mode, recipe));
  const others = peers.map((dtype) => peerSide(dtype, recipe));
  for (const side of [...ours, ...others]) await side.ready();
  await ours[0]!.run(); // for the tokens of a sentence
  const { computedPerSentence } = ours[0]!.measures.pop()!;
  const limits = values.device === "cpu" ? [await limitSide(computedPerSentence!)] : [];
  for (const limit of limits) await limit.ready();
  const sides = [...ours, ...limits, ...others];
  for (let round = 0; round < Number(values.rounds); round++) for (const side of sides) await side.run();
  for (const side of sides) side.close();
  const reference = Float32Array.from(ours[0]!.measures[0]!.first);
  return sides.map((side): Row => {
    const seconds = side.measures.map((measured) => measured.seconds);
    const first = Float32Array.from(side.measures[0]!.first);
    const beside = [...others, ...limits].filter((other) => other !== side);
    return {
      name: side.name,
      sentencesPerSecond: sentences.length / median(seconds),
      peakMiB: Math.max(...side.measures.map(({ peakBytes }) => peakBytes)) / 2 ** 20,
      ratios: Object.fromEntries(
        beside.map(({ name, measures }) => [name, median(seconds.map((s, i) => measures[i]!.seconds / s))]),
      ),
      cosine: first.length > 0 ? cosineSimilarity(first, reference) : Number.NaN,
      last: { ...side.measures.at(-1)!, first: [] },
    };
  });
}

const print = (line = ""): boolean => process.stdout.write(`${line}\n`);
const percent = (share: number | undefined): string => (share === undefined ? "" : `${(100 * share).toFixed(1)} %`);

function printTable(title: string, rows: readonly Row[]): void {
  const beside = Object.keys(rows[0]!.ratios);
  print(`\n${title}\n`);
  print(
    `| | sentences/s | ${beside.map((name) => `× ${name}`).join(" | ")} | peak MiB | tokens/sentence | computed | padding in attention | outside the runtime |`,
  );
  print(`|---|---|${beside.map(() => "---|").join("")}---|---|---|---|---|`);
  for (const { name, sentencesPerSecond, peakMiB, ratios, last } of rows) {
    const cells = [
      sentencesPerSecond.toFixed(1),
      ...beside.map((other) => ratios[other]?.toFixed(2) ?? "1"),
      peakMiB.toFixed(0),
      last.tokensPerSentence?.toFixed(1) ?? "",
      last.computedPerSentence?.toFixed(1) ?? "",
      percent(last.paddingShare),
      percent(last.outsideShare),
    ];
    print(`| ${name} | ${cells.join(" | ")} |`);
  }
}

print(
  `${sentences.length} STS-B dev sentences, ${values.model}, ${values.device}, ${threads} threads, ${values.rounds} rounds in turn, medians; ${cpus()[0]?.model}`,
);
const results: Record<string, Row[]> = {};
for (const name of values.recipes.split(",")) {
  const rows = await measure(recipes[name]!);
  results[name] = rows;
  printTable(name, rows);
}
if (values.json) writeFileSync(values.json, `${JSON.stringify({ options: values, results }, null, 2)}\n`);
