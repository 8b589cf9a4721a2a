import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { load } from "../src/index.ts";
import { readDemonstrations } from "../src/recipes/demonstrations.ts";
import { halve, planRounds } from "../src/recipes/halving.ts";
import { Journal } from "../src/recipes/journal.ts";
import { readLabelled } from "../src/recipes/labelled.ts";
import { Scorer } from "../src/recipes/scorer.ts";
import type { Demonstration, Precision } from "../src/text/recipe.ts";

/**
 * What successive halving loses against scoring every candidate on everything: the 300 single demonstrations of the package
 * on all 1,500 pairs of STS-B dev, both ways, and their cost. The whole search takes hours; what was measured is kept in the
 * journal, so that it can be stopped and started again.
 */
const data = resolve(import.meta.dirname, "../../data");
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m" },
    precision: { type: "string", default: "stored" },
    threads: { type: "string" },
    workers: { type: "string", default: "1" },
    journal: { type: "string", default: "build/recipe-search.journal.jsonl" },
    candidates: { type: "string", default: resolve(data, "demonstrations.tsv") },
  },
});

const threads = values.threads === undefined ? {} : { threads: Number(values.threads) };
const model = await load(values.model, {
  precision: values.precision as Precision,
  workers: Number(values.workers),
  ...threads,
});
const labelled = await readLabelled(resolve(data, "stsb-dev.tsv"));
const demonstrations = await readDemonstrations(values.candidates);
const setting = { layer: model.numLayers, directions: null };

interface Outcome {
  readonly seconds: number;
  readonly texts: number;
  readonly scores: ReadonlyMap<Demonstration, number>;
}

async function measure(rounds: ReturnType<typeof planRounds>, name: string): Promise<Outcome> {
  const journal = await Journal.open(`${values.journal}.${name}`);
  const scorer = new Scorer(model, labelled, journal);
  let done = 0;
  const score = async (demonstration: Demonstration, items: number): Promise<number> => {
    const [value] = await scorer.score({ demonstrations: [demonstration] }, [setting], items);
    if (rounds.length === 1) scorer.forget();
    process.stderr.write(`${name} ${++done}: ${items} pairs, ${value!.toFixed(2)}, ${scorer.seconds.toFixed(0)} s\n`);
    return value!;
  };
  const results = await halve(demonstrations, rounds, score);
  const whole = results.filter(({ items }) => items === labelled.items.length);
  return { seconds: scorer.seconds, texts: scorer.texts, scores: new Map(whole.map((r) => [r.candidate, r.score])) };
}

const halving = await measure(planRounds(demonstrations.length, labelled.items.length), "halving");
const whole = await measure([{ items: labelled.items.length, survivors: 1 }], "whole");
await model.close();

const [winner] = [...halving.scores].sort((a, b) => b[1] - a[1])[0]!;
const ranked = [...whole.scores].sort((a, b) => b[1] - a[1]);
const rank = ranked.findIndex(([demonstration]) => demonstration === winner) + 1;
const print = (line: string): boolean => process.stdout.write(`${line}\n`);
print(
  `halving: ${halving.texts} texts, ${halving.seconds.toFixed(0)} s; whole: ${whole.texts} texts, ${whole.seconds.toFixed(0)} s`,
);
print(
  `a ${(whole.texts / halving.texts).toFixed(1)}th of the texts, a ${(whole.seconds / halving.seconds).toFixed(1)}th of the time`,
);
print(`halving's winner is number ${rank} of the whole search: ${winner.sentence} -> ${winner.word}`);
for (const [{ sentence, word }, score] of ranked.slice(0, 5)) print(`${score.toFixed(2)}  ${sentence} -> ${word}`);
