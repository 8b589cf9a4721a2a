import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { type EmbeddingModel, load } from "../src/index.ts";
import { readDemonstrations } from "../src/recipes/demonstrations.ts";
import type { Precision } from "../src/text/recipe.ts";
import { median } from "./side.ts";

/**
 * What demonstrations in front of the template cost a sentence: the first sentences of STS-B dev after 0 to 20 of the
 * package's demonstrations, whose keys and values are computed once. The counts take turns within each round; a ratio is the
 * median of the rounds' ratios to none.
 */
const data = resolve(import.meta.dirname, "../../data");
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m" },
    precisions: { type: "string", default: "float32,stored,int8" },
    counts: { type: "string", default: "0,1,5,10,20" },
    sentences: { type: "string", default: "256" },
    rounds: { type: "string", default: "5" },
  },
});

const lines = readFileSync(resolve(data, "stsb-dev.tsv"), "utf8").split("\n").slice(1).filter(Boolean);
const sentences = lines.flatMap((row) => row.split("\t").slice(1, 3)).slice(0, Number(values.sentences));
const demonstrations = await readDemonstrations(resolve(data, "demonstrations.tsv"));
const counts = values.counts.split(",").map(Number);

process.stdout.write(
  "| precision | demonstrations | tokens of the first prompt | ms a sentence | × none |\n|---|---|---|---|---|\n",
);
for (const precision of values.precisions.split(",") as Precision[]) {
  await using model = await load(values.model, { precision });
  const sides: { count: number; view: EmbeddingModel; tokens: number; seconds: number[] }[] = [];
  for (const count of counts) {
    const view = await model.withRecipe({ demonstrations: demonstrations.slice(0, count) });
    for await (const { tokens } of view.embedStream(sentences.slice(0, 1))) {
      sides.push({ count, view, tokens, seconds: [] }); // what stands in front has been run now
    }
  }
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const { view, seconds } of sides) {
      const start = performance.now();
      await view.embed(sentences);
      seconds.push((performance.now() - start) / 1000);
    }
  }
  for (const { count, view, tokens, seconds } of sides) {
    const ratio = median(seconds.map((value, round) => value / sides[0]!.seconds[round]!));
    const milliseconds = (1000 * median(seconds)) / sentences.length;
    process.stdout.write(
      `| ${precision} | ${count} | ${tokens} | ${milliseconds.toFixed(2)} | ${ratio.toFixed(2)} |\n`,
    );
    await view.close();
  }
}
