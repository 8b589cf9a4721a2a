import { resolve } from "node:path";
import { InputError } from "../errors.ts";
import { checkComparable, commonStatistics, compareRuns } from "../evaluate/bootstrap.ts";
import { isFolder, pulledFolder } from "../evaluate/data-folder.ts";
import { type EmbeddingCache, embeddingCache } from "../evaluate/embedding-cache.ts";
import { type EvaluationRun, type EvaluationSets, evaluate, readSets } from "../evaluate/evaluate.ts";
import { writeMteb } from "../evaluate/mteb.ts";
import { reportHtml } from "../evaluate/report/report.ts";
import { differenceTable, resultTable } from "../evaluate/result-table.ts";
import { readRun, type SavedRun, savedRun } from "../evaluate/saved-run.ts";
import { parseTasks } from "../evaluate/tasks.ts";
import type { VectorSource } from "../evaluate/vector-source.ts";
import { makeOutputFolder, ReservedFile } from "../files/output-file.ts";
import { packageVersion } from "../files/package-version.ts";
import type { CliContext } from "./context.ts";
import type { EvalFlags } from "./eval-flags.ts";
import { EvalProgress } from "./eval-progress.ts";
import { openSource } from "./eval-source.ts";
import { UsageError } from "./exit-codes.ts";
import { counted } from "./progress.ts";
import { writeTo } from "./stdout-sink.ts";

/** `oneword eval`: how good a model with a recipe is, in the numbers of the literature. */
export async function runEval(flags: EvalFlags, context: CliContext): Promise<void> {
  const earlier = await Promise.all((flags.compare ?? []).map(readRun));
  const { save: saved, report: page } = flags;
  if (saved !== undefined && page !== undefined && resolve(saved) === resolve(page)) {
    throw new UsageError(`--save and --report are both ${saved}. Give each a place of its own.`);
  }
  if (flags.data !== undefined && !(await isFolder(flags.data))) {
    // where a set comes with the package, no folder at all would go unnoticed
    throw new InputError("data-not-found", `--data ${flags.data}: there is no such folder. Check the path.`);
  }
  const sets = await readSets(parseTasks(flags.tasks), flags.data ?? pulledFolder());
  if (earlier[0]) checkComparable(earlier[0], sets, flags.mode ?? "full");
  for (const other of earlier.slice(1)) commonStatistics(earlier[0]!, other); // before anything is made
  await using save = await reserve(flags.save, "--save");
  await using report = await reserve(flags.report, "--report");
  if (flags.mteb !== undefined) await makeOutputFolder(flags.mteb, "--mteb");
  const opened = await openSource(flags, sets, context);
  const cache = flags.cache ? embeddingCache(opened.source) : undefined;
  try {
    const run = await runWithProgress(opened.source, sets, cache, flags, context);
    if (!flags.quiet) context.stderr.write(`${summary(run, opened.loaded)}\n`);
    await writeOutputs(run, earlier, opened, { save, report }, flags, context);
  } finally {
    await cache?.close();
    await opened.close();
  }
}

async function runWithProgress(
  source: VectorSource,
  sets: EvaluationSets,
  cache: EmbeddingCache | undefined,
  flags: EvalFlags,
  context: CliContext,
): Promise<EvaluationRun> {
  const progress = await EvalProgress.create(context, flags.quiet === true);
  try {
    return await evaluate(source, sets, {
      cache,
      mode: flags.mode,
      withMteb: flags.mteb !== undefined,
      signal: context.signal,
      onEmbed: (done) => progress.embed(done),
      onTransfer: (task) => progress.transfer(task),
    });
  } finally {
    progress.stop();
  }
}

const reserve = async (file: string | undefined, option: string): Promise<ReservedFile | null> =>
  file === undefined ? null : ReservedFile.open(file, option);

async function writeOutputs(
  run: EvaluationRun,
  earlier: readonly SavedRun[],
  { mtebModel }: Awaited<ReturnType<typeof openSource>>,
  { save, report }: Readonly<Record<"save" | "report", ReservedFile | null>>,
  flags: EvalFlags,
  context: CliContext,
): Promise<void> {
  const now = new Date();
  const saved = savedRun(run, packageVersion(), now);
  const runs = [...earlier, saved];
  const json = `${JSON.stringify(saved)}\n`;
  await save?.write(json);
  await report?.write(reportHtml(runs));
  if (flags.mteb !== undefined) {
    const place = await writeMteb(flags.mteb, mtebModel, run.mteb, run.embedSeconds, now);
    if (!flags.quiet) context.stderr.write(`mteb results in ${place}\n`);
  }
  await writeTo(context.stdout, flags.format === "json" ? json : tables(runs));
}

/** The results of the runs, and how each but the first differs from the first. */
export function tables(runs: readonly SavedRun[]): string {
  const [first, ...others] = runs as [SavedRun, ...SavedRun[]];
  const differences = others.map((run) => differenceTable(first.name, run.name, compareRuns(first, run)));
  return [resultTable(runs), ...differences].join("\n");
}

function summary(run: EvaluationRun, loaded: string): string {
  const { distinctTexts, cachedTexts, truncatedTexts, embedSeconds } = run;
  const embedded = distinctTexts - cachedTexts;
  const parts = [
    loaded,
    `${counted(distinctTexts, "distinct text")}${cachedTexts > 0 ? `, ${cachedTexts.toLocaleString("en-US")} at hand` : ""}`,
    ...(embedded > 0 ? [`${embedSeconds.toFixed(1)} s, ${rate(embedded / embedSeconds)} texts/s`] : []),
    ...(truncatedTexts > 0 ? [`${counted(truncatedTexts, "text")} shortened to fit`] : []),
    ...(run.transfer.length > 0
      ? [`classifiers ${run.transfer.reduce((sum, { seconds }) => sum + seconds, 0).toFixed(1)} s`]
      : []),
  ];
  return parts.join(" · ");
}

const rate = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: value < 10 ? 1 : 0 });
