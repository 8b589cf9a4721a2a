import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { cosineSimilarity } from "../src/embed/pooling.ts";
import { resolveModel } from "../src/files/resolve-model.ts";
import { cleanUp } from "../src/text/clean-up.ts";
import { completeRecipe } from "../src/text/complete-recipe.ts";
import { fillParts, promptParts } from "../src/text/prompt-parts.ts";

/**
 * Sentences per second and peak memory on the first 512 sentences of STS-B dev, beside PyTorch when ONEWORD_PEER_PYTHON
 * names a Python with torch, transformers and gguf. The sides take turns within each round; the ratio is the median of
 * the rounds' ratios.
 */
const { values } = parseArgs({
  options: {
    data: { type: "string", default: resolve(import.meta.dirname, "../../../shared/data/sts/STSB/dev.tsv") },
    rounds: { type: "string", default: "5" },
    sentences: { type: "string", default: "512" },
    threads: { type: "string", default: String(availableParallelism()) },
    model: { type: "string", default: "smollm2-135m" },
  },
});

interface Measure {
  readonly seconds: number;
  readonly peakBytes: number;
  readonly first: number[];
}

/** A process that runs the job once whenever it is asked to. */
class Side {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  name = "";
  readonly measures: Measure[] = [];

  constructor(command: string, args: readonly string[], setUp: unknown) {
    const env = { ...process.env, THREADS: values.threads };
    this.#process = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], env });
    this.#lines = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
    this.#process.stdin!.write(`${JSON.stringify(setUp)}\n`);
  }

  async ready(): Promise<void> {
    this.name = (await this.#answer<{ name: string }>()).name;
    await this.run();
    this.measures.length = 0; // the first run warms up
  }

  async run(): Promise<void> {
    this.#process.stdin!.write("run\n");
    this.measures.push(await this.#answer<Measure>());
  }

  close(): void {
    this.#process.stdin!.end();
  }

  async #answer<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("a side of the benchmark ended early; its messages are above.");
    return JSON.parse(value) as T;
  }
}

const rows = readFileSync(values.data, "utf8").split("\n").slice(1).filter(Boolean);
const sentences = rows.flatMap((row) => row.split("\t").slice(1, 3)).slice(0, Number(values.sentences));
const files = await resolveModel(values.model);
const recipe = completeRecipe({}, { model: files.identity, precision: "float32" });
const [parts] = promptParts(recipe);
const prompts = sentences.map((sentence) => fillParts(parts!, cleanUp(sentence, recipe.cleanUp)));

const worker = resolve(import.meta.dirname, "worker.js");
const base = { model: values.model, threads: Number(values.threads), sentences };
const sides = [
  new Side(process.execPath, [worker], { ...base, precision: "float32" }),
  new Side(process.execPath, [worker], { ...base, precision: "stored" }),
];
const python = process.env.ONEWORD_PEER_PYTHON;
const peer = resolve(import.meta.dirname, "../../bench/peer.py");
if (python) sides.push(new Side(python, [peer], { gguf: files.weights.file, prompts }));

for (const side of sides) await side.ready();
for (let round = 0; round < Number(values.rounds); round++) for (const side of sides) await side.run();
for (const side of sides) side.close();

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
const print = (line: string): boolean => process.stdout.write(`${line}\n`);
const reference = sides.at(-1)!;
print(`${sentences.length} STS-B dev sentences, ${values.threads} threads, ${values.rounds} rounds in turn, medians`);
for (const side of sides) {
  const rate = sentences.length / median(side.measures.map(({ seconds }) => seconds));
  const peak = Math.max(...side.measures.map(({ peakBytes }) => peakBytes)) / 2 ** 20;
  const ratios = side.measures.map(({ seconds }, i) => reference.measures[i]!.seconds / seconds);
  const cosine = cosineSimilarity(
    Float32Array.from(side.measures[0]!.first),
    Float32Array.from(reference.measures[0]!.first),
  );
  const beside = python ? ` · ${median(ratios).toFixed(2)} x ${reference.name} · cosine ${cosine.toFixed(6)}` : "";
  print(`${side.name.padEnd(28)} ${rate.toFixed(1).padStart(7)} sentences/s · peak ${peak.toFixed(0)} MiB${beside}`);
}
