import { reportHtml } from "../evaluate/report/report.ts";
import { readRun } from "../evaluate/saved-run.ts";
import { writeWhole } from "../files/output-file.ts";
import type { CliContext } from "./context.ts";
import { tables } from "./eval.ts";
import { UsageError } from "./exit-codes.ts";
import { writeTo } from "./stdout-sink.ts";

export interface CompareFlags {
  readonly report?: string;
}

/** `oneword compare`: saved runs side by side, without a model. */
export async function runCompare(files: readonly string[], flags: CompareFlags, context: CliContext): Promise<void> {
  if (files.length < 2)
    throw new UsageError("one run alone cannot be compared. Name at least two that eval --save wrote.");
  const runs = await Promise.all(files.map(readRun));
  if (flags.report !== undefined) await writeWhole(flags.report, reportHtml(runs), "--report");
  await writeTo(context.stdout, tables(runs));
}
