import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { embeddingCache } from "../src/evaluate/embedding-cache.ts";
import { evaluate } from "../src/evaluate/evaluate.ts";
import { readStsSet } from "../src/evaluate/read-sts.ts";
import type { StsTask } from "../src/evaluate/tasks.ts";
import { modelSource } from "../src/evaluate/vector-source.ts";
import { load } from "../src/index.ts";
import { namedRecipe, recipeNames } from "../src/text/named-recipes.ts";
import type { Precision } from "../src/text/recipe.ts";

/**
 * The table of docs/recipes.md: every named recipe on STS-B dev and test and on STS12 to 16 (their average), Spearman × 100,
 * and the milliseconds of a sentence relative to PromptEOL's, on the first 256 sentences of dev. Vectors are kept on disk, so
 * that it can be stopped and started again; `--tasks dev` leaves the test sets out.
 */
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m" },
    precision: { type: "string", default: "float32" },
    threads: { type: "string" },
    workers: { type: "string", default: "1" },
    data: { type: "string", default: resolve(import.meta.dirname, "../../../shared/data") },
    recipes: { type: "string", default: recipeNames.join(",") },
    tasks: { type: "string", default: "all" },
  },
});

const tests: StsTask[] = ["stsb", "sts12", "sts13", "sts14", "sts15", "sts16"];
const tasks: StsTask[] = ["stsb-dev", ...(values.tasks === "dev" ? [] : tests)];
const sts = await Promise.all(tasks.map((task) => readStsSet(task, values.data)));
const sentences = [...new Set(sts[0]!.subsets[0]!.pairs.flatMap((pair) => [pair.sentence1, pair.sentence2]))];
const threads = values.threads === undefined ? {} : { threads: Number(values.threads) };
const model = await load(values.model, {
  precision: values.precision as Precision,
  workers: Number(values.workers),
  ...threads,
});

async function secondsOf(recipe: Awaited<ReturnType<typeof namedRecipe>>): Promise<number> {
  await using view = await model.withRecipe(recipe);
  const some = sentences.slice(0, 256);
  await view.embed(some.slice(0, 32)); // warms up
  const start = performance.now();
  await view.embed(some);
  return (performance.now() - start) / 1000;
}

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
const shown = (score: number): string => (Number.isFinite(score) ? score.toFixed(2) : "").padStart(8);
process.stdout.write(`${"recipe".padEnd(20)}     dev    test  STS12-16  cost\n`);
for (const name of values.recipes.split(",")) {
  const recipe = await namedRecipe(name, model.recipe.model);
  const cost = (await secondsOf(recipe)) / (await secondsOf({}));
  await using view = await model.withRecipe(recipe);
  const source = modelSource(view);
  const cache = embeddingCache(source);
  const run = await evaluate(source, { sts, transfer: [] }, { cache });
  await cache?.close();
  const [dev, test, ...years] = run.sts.map(({ all }) => 100 * all.spearman);
  const row = [dev!, test ?? Number.NaN, years.length > 0 ? mean(years) : Number.NaN].map(shown).join("");
  process.stdout.write(`${name.padEnd(20)}${row}  ${cost.toFixed(2)}\n`);
}
await model.close();
