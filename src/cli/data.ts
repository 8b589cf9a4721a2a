import { pulledFolder } from "../evaluate/data-folder.ts";
import { readSets, textsOf } from "../evaluate/evaluate.ts";
import { type DataSource, pullData } from "../evaluate/pull-data.ts";
import { parseTasks } from "../evaluate/tasks.ts";
import { tsvLine } from "../files/tsv.ts";
import { mixSources } from "../train/mix-sources.ts";
import { nliTriples } from "../train/nli-triples.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { counted, downloadProgress } from "./progress.ts";
import { writeTo } from "./stdout-sink.ts";

export interface DataPullFlags {
  readonly source: DataSource;
  readonly quiet?: boolean;
}

/** `oneword data pull`: fetches evaluation sets and prints the folder that --data takes. */
export async function runDataPull(
  kind: "sts" | "transfer",
  { source, quiet = false }: DataPullFlags,
  context: CliContext,
): Promise<void> {
  if (kind === "transfer" && source === "mteb") {
    throw new UsageError("mteb has no transfer tasks of SentEval. Leave --source out.");
  }
  const downloads = downloadProgress(context, quiet);
  try {
    const folder = await pullData(source, { signal: context.signal, onProgress: downloads.onProgress });
    await writeTo(context.stdout, `${folder}\n`);
  } finally {
    downloads.stop();
  }
}

export interface DataTextsFlags {
  readonly tasks: string;
  readonly data?: string;
}

/** `oneword data texts`: the distinct texts of some tasks, one a line, for an embedder of another kind. */
export async function runDataTexts({ tasks, data }: DataTextsFlags, context: CliContext): Promise<void> {
  const sets = await readSets(parseTasks(tasks), data ?? pulledFolder());
  await writeTo(context.stdout, [...new Set(textsOf(sets))].map((text) => `${text}\n`).join(""));
}

export interface DataTriplesFlags {
  readonly premise: string;
  readonly hypothesis: string;
  readonly label: string;
  readonly quiet?: boolean;
}

/** `oneword data triples`: training data out of NLI files, in the columns that train reads by default. */
export async function runDataTriples(
  files: readonly string[],
  { premise, hypothesis, label, quiet = false }: DataTriplesFlags,
  context: CliContext,
): Promise<void> {
  const { triples, unused } = await nliTriples(files, { premise, hypothesis, label });
  await writeTo(context.stdout, tsvLine(["sent0", "sent1", "hard_neg"]));
  for (const triple of triples) {
    await writeTo(context.stdout, tsvLine([triple.premise, triple.entailed, triple.contradicted]));
  }
  if (!quiet) context.stderr.write(`${counted(triples.length, "triple")}; ${counted(unused, "row")} not used\n`);
}

export interface DataMixFlags {
  readonly take?: readonly (readonly [string, number])[];
  readonly seed: number;
}

/** `oneword data mix`: a sample of each source, in the columns that train reads by default. */
export async function runDataMix(
  files: readonly string[],
  { take, seed }: DataMixFlags,
  context: CliContext,
): Promise<void> {
  if (!take?.length)
    throw new UsageError("--take is missing: a source and how many rows of it, as --take snli-dev=1900.");
  const rows = await mixSources(files, new Map(take), seed);
  await writeTo(context.stdout, tsvLine(["sent0", "sent1", "hard_neg", "source"]));
  for (const { anchor, positive, hardNegative, source } of rows) {
    await writeTo(context.stdout, tsvLine([anchor, positive, hardNegative, source]));
  }
}
