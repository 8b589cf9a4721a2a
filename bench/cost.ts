import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { load } from "../src/index.ts";
import type { Precision } from "../src/text/recipe.ts";
import { chartSvg, type Panel } from "./line-chart.ts";
import { median } from "./side.ts";

/**
 * What a sentence costs: against its length, against the tokens of a run, and against the layer that is read. Prints JSON and
 * writes the plot (docs/cost.svg in the repository). Each figure is the median of a few runs on ready token ids.
 */
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m" },
    precisions: { type: "string", default: "float32,int8" },
    tokens: { type: "string", default: "4096" },
    svg: { type: "string", default: "docs/cost.svg" },
  },
});
const budget = Number(values.tokens);
const precisions = values.precisions.split(",") as Precision[];
const lengths = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
const batches = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

type Points = [number, number][];
const measured: Record<string, { length: Points; batch: Points; layer: Points }> = {};
/** Ids of sentences that are not alike, so that nothing is the same twice. */
const sentence = (length: number, seed: number): number[] =>
  Array.from({ length }, (_, i) => 100 + ((i * 7919 + seed * 104_729) % 40_000));

for (const precision of precisions) {
  const model = await load(values.model, { precision });
  const time = async (length: number, count: number, layer: number | "last" = "last"): Promise<number> => {
    const ids = Array.from({ length: count }, (_, i) => sentence(length, i));
    const seconds: number[] = [];
    for (let run = 0; run < 4; run++) {
      const start = performance.now();
      await model.embedTokens(ids, { layer });
      seconds.push((performance.now() - start) / 1000);
    }
    return median(seconds.slice(1)) / count;
  };
  const own = { length: [] as Points, batch: [] as Points, layer: [] as Points };
  for (const length of lengths) {
    own.length.push([length, 1000 * (await time(length, Math.max(1, Math.round(budget / length))))]);
  }
  for (const tokens of batches) own.batch.push([tokens, 1 / (await time(16, tokens / 16))]);
  for (let layer = 5; layer <= model.numLayers; layer += 5) own.layer.push([layer, 1000 * (await time(16, 64, layer))]);
  measured[precision] = own;
  await model.close();
}

const panel = (title: string, xLabel: string, yLabel: string, key: "length" | "batch" | "layer"): Panel => ({
  title,
  xLabel,
  yLabel,
  lines: precisions.map((name) => ({ name, points: measured[name]![key] })),
});
writeFileSync(
  values.svg,
  chartSvg([
    panel("Length", "tokens of a sentence", "ms for a sentence", "length"),
    panel("Tokens of a run", "tokens (sentences of 16)", "sentences/s", "batch"),
    panel("Layer that is read", "layer (sentences of 16)", "ms for a sentence", "layer"),
  ]),
);
process.stdout.write(`${JSON.stringify(measured)}\n`);
