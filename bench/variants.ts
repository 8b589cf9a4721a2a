import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { embeddingCache } from "../src/evaluate/embedding-cache.ts";
import { evaluate } from "../src/evaluate/evaluate.ts";
import { readStsSet } from "../src/evaluate/read-sts.ts";
import type { StsTask } from "../src/evaluate/tasks.ts";
import { modelSource } from "../src/evaluate/vector-source.ts";
import { type EmbeddingModel, load } from "../src/index.ts";
import { namedRecipe, recipeNames } from "../src/text/named-recipes.ts";
import type { Precision, RecipeOptions } from "../src/text/recipe.ts";
import { median } from "./side.ts";

/**
 * The table of docs/recipes.md: every named recipe on STS-B dev and test and on STS12 to 16 (their average), Spearman × 100,
 * and the time of a sentence relative to the plain template's, on the first 256 sentences of dev, median of three. Vectors are
 * kept on disk, so that it can be stopped and started again; `--tasks dev` leaves the test sets out, `--tasks none` all of them.
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
const tasks: StsTask[] = ["stsb-dev", ...(values.tasks === "all" ? tests : [])];
const sts = await Promise.all(tasks.map((task) => readStsSet(task, values.data)));
const sentences = [...new Set(sts[0]!.subsets[0]!.pairs.flatMap((pair) => [pair.sentence1, pair.sentence2]))];
const threads = values.threads === undefined ? {} : { threads: Number(values.threads) };
const model = await load(values.model, {
  precision: values.precision as Precision,
  workers: Number(values.workers),
  ...threads,
});

/** Time of a sentence relative to the plain template's, in turn with it. */
async function costOf(recipe: RecipeOptions): Promise<number> {
  await using view = await model.withRecipe(recipe);
  await using plain = await model.withRecipe({});
  const some = sentences.slice(0, 256);
  const secondsOf = async (side: EmbeddingModel): Promise<number> => {
    const start = performance.now();
    await side.embed(some);
    return (performance.now() - start) / 1000;
  };
  for (const side of [view, plain]) await side.embed(some.slice(0, 32)); // warms up
  const ratios: number[] = [];
  for (let round = 0; round < 3; round++) ratios.push((await secondsOf(view)) / (await secondsOf(plain)));
  return median(ratios);
}

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
const shown = (score: number): string => (Number.isFinite(score) ? score.toFixed(2) : "").padStart(8);
process.stdout.write(`${"recipe".padEnd(20)}     dev    test  STS12-16  cost\n`);
for (const name of values.recipes.split(",")) {
  const recipe = await namedRecipe(name, model.recipe.model);
  const cost = await costOf(recipe);
  await using view = await model.withRecipe(recipe);
  const source = modelSource(view);
  const cache = embeddingCache(source);
  const run = await evaluate(source, { sts: values.tasks === "none" ? [] : sts, transfer: [] }, { cache });
  await cache?.close();
  const [dev, test, ...years] = run.sts.map(({ all }) => 100 * all.spearman);
  const row = [dev ?? Number.NaN, test ?? Number.NaN, years.length > 0 ? mean(years) : Number.NaN].map(shown).join("");
  process.stdout.write(`${name.padEnd(20)}${row}  ${cost.toFixed(2)}\n`);
}
await model.close();
