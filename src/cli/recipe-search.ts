import { dirname, extname, resolve } from "node:path";
import type { EmbeddingModel } from "../embed/embedding-model.ts";
import { packagedDev } from "../evaluate/data-folder.ts";
import { ReservedFile } from "../files/output-file.ts";
import { packagedDemonstrations, readDemonstrations } from "../recipes/demonstrations.ts";
import { Journal } from "../recipes/journal.ts";
import { readLabelled, splitHalves } from "../recipes/labelled.ts";
import { type CurvePoint, searchReport } from "../recipes/report.ts";
import { type SearchProgress, type SearchResult, searchRecipe } from "../recipes/search.ts";
import { namedRecipe } from "../text/named-recipes.ts";
import { type Recipe, recipeId } from "../text/recipe.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { loadModel } from "./load-model.ts";
import type { SearchFlags } from "./recipe-flags.ts";
import { SearchProgressLine } from "./recipe-progress.ts";
import { writeTo } from "./stdout-sink.ts";
import { readAllTexts } from "./texts.ts";

/** `oneword recipe search`: writes the best recipe it finds and a report, and prints both halves' scores. */
export async function runRecipeSearch(flags: SearchFlags, context: CliContext): Promise<void> {
  const startedAt = performance.now();
  const page = flags.report ?? `${withoutExtension(flags.output)}.html`;
  if (resolve(page) === resolve(flags.output)) {
    throw new UsageError(`--output ${flags.output}: that is where the report goes. Name the recipe .json.`);
  }
  const data = flags.data ?? packagedDev;
  const measured = `${withoutExtension(flags.output)}.journal.jsonl`;
  if ([flags.output, page].some((file) => resolve(file) === resolve(data)) || resolve(page) === resolve(measured)) {
    throw new UsageError("--output and --report would be written over the data or the journal. Name other files.");
  }
  const halves = splitHalves(await readLabelled(data));
  const files = flags.candidates ?? [packagedDemonstrations];
  const demonstrations = (await Promise.all(files.map(readDemonstrations))).flat();
  const unlabelled = flags.unlabelled === undefined ? undefined : await readAllTexts(flags.unlabelled, context);
  if (unlabelled?.length === 0)
    throw new UsageError("--unlabelled: there is no text to fit on. Name a file that has some.");
  await using output = await ReservedFile.open(flags.output);
  await using reportFile = await ReservedFile.open(page, "--report");
  const journal = await Journal.open(measured, { anew: !flags.resume });
  const { model, loaded } = await loadModel(flags, context);
  const line = new SearchProgressLine(context, flags.quiet === true);
  const curve: CurvePoint[] = [];
  try {
    const prompts = await Promise.all((flags.prompts ?? []).map((name) => namedRecipe(name, model.recipe.model)));
    const result = await searchRecipe(model, halves, journal, {
      prompts,
      demonstrations,
      depth: flags.depth,
      beam: flags.beam,
      layers: upperHalf(model),
      firstDirections: 64,
      directions: [null, 0, 8, 16, 32, 64, 128],
      unlabelled,
      ...(flags.minutes === undefined ? {} : { deadline: startedAt + flags.minutes * 60_000 }),
      embed: {
        truncate: true,
        signal: context.signal,
        batchTokens: flags.batchTokens,
      },
      onProgress: (progress) => {
        line.show(progress);
        extendCurve(curve, progress);
      },
    });
    curve.push({ seconds: result.seconds, texts: result.texts, score: result.best.score });
    line.clear();
    const { recipe } = result;
    await output.write(`${JSON.stringify(recipe, null, 2)}\n`);
    const report = searchReport({
      model: model.name,
      data: flags.data ?? "STS-B dev",
      kind: halves.search.kind,
      items: { search: halves.search.order.length, heldOut: halves.heldOut.order.length },
      candidates: demonstrations.length,
      curve,
      result,
      recipeId: recipeId(recipe),
    });
    await reportFile.write(report);
    if (!flags.quiet) context.stderr.write(`${loaded} · ${flags.output} and ${page} written\n`);
    await writeTo(context.stdout, `${JSON.stringify(summary(recipe, result))}\n`);
  } finally {
    line.clear();
    await model.close();
  }
}

const summary = (recipe: Recipe, { plain, best, heldOut, texts, seconds, endedEarly }: SearchResult) => ({
  recipe: recipeId(recipe),
  searched: { plain, best: best.score },
  heldOut,
  texts,
  seconds: Math.round(seconds),
  endedEarly,
});

/** The lower half of a model reads words, not meanings; no search has chosen from there. */
const upperHalf = ({ numLayers }: EmbeddingModel): number[] =>
  Array.from({ length: Math.floor(numLayers / 2) + 1 }, (_, i) => numLayers - Math.floor(numLayers / 2) + i);

function extendCurve(curve: CurvePoint[], { seconds, texts, best }: SearchProgress): void {
  if (best && best.score !== curve.at(-1)?.score) curve.push({ seconds, texts, score: best.score });
}

const withoutExtension = (file: string): string => file.slice(0, file.length - extname(file).length) || dirname(file);
