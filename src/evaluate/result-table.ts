import type { Difference } from "./bootstrap.ts";
import type { SavedRun } from "./saved-run.ts";
import { percent } from "./sts.ts";
import { taskTitles } from "./tasks.ts";

/**
 * The paper's tables for a terminal: a line for each run, Spearman × 100 of the STS sets, then accuracies of the transfer
 * tasks (with F1 behind a stroke), each with the average where all seven are there.
 */
export function resultTable(runs: readonly SavedRun[]): string {
  const tables = [table(runs, stsColumns(runs)), table(runs, transferColumns(runs))];
  return tables.filter((text) => text !== "").join("\n");
}

interface Column {
  readonly title: string;
  cell(run: SavedRun): string;
}

export function stsColumns(runs: readonly SavedRun[]): Column[] {
  const tasks = [...new Set(runs.flatMap(({ sts }) => sts.map(({ task }) => task)))];
  const columns = tasks.map((task) => ({
    title: taskTitles[task],
    cell: (run: SavedRun) => shown(run.sts.find((result) => result.task === task)?.all.spearman, percent),
  }));
  const hasAverage = runs.some(({ stsAverage }) => stsAverage !== null);
  return hasAverage ? [...columns, { title: "Avg.", cell: ({ stsAverage }) => shown(stsAverage) }] : columns;
}

export function transferColumns(runs: readonly SavedRun[]): Column[] {
  const tasks = [...new Set(runs.flatMap(({ transfer }) => transfer.map(({ task }) => task)))];
  const columns = tasks.map((task) => ({
    title: taskTitles[task],
    cell(run: SavedRun) {
      const result = run.transfer.find((result) => result.task === task);
      return result?.f1 === undefined ? shown(result?.accuracy) : `${shown(result.accuracy)}/${shown(result.f1)}`;
    },
  }));
  const hasAverage = runs.some(({ transferAverage }) => transferAverage !== null);
  return hasAverage ? [...columns, { title: "Avg.", cell: ({ transferAverage }) => shown(transferAverage) }] : columns;
}

/** Two decimals; a dash for what was not measured, and where all cosines are equal so that there is no correlation. */
function shown(value: number | null | undefined, scale: (value: number) => number = (value) => value): string {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : scale(value).toFixed(2);
}

function table(runs: readonly SavedRun[], columns: readonly Column[]): string {
  if (columns.length === 0) return "";
  return aligned([
    ["", ...columns.map(({ title }) => title)],
    ...runs.map((run) => [run.name, ...columns.map(({ cell }) => cell(run))]),
  ]);
}

/** Differences of a run to the first, with their intervals; a star where 0 is outside. */
export function differenceTable(from: string, to: string, differences: readonly Difference[]): string {
  const lines = differences.map(({ task, difference, low, high }) => [
    task === "average" ? "Average" : taskTitles[task],
    signed(difference),
    `[${signed(low)}, ${signed(high)}]`,
    low > 0 || high < 0 ? "*" : "",
  ]);
  return aligned([[`${to} less ${from}`, "points", "95 % interval", ""], ...lines]);
}

export const signed = (value: number): string =>
  Number.isNaN(value) ? "–" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;

/** First column to the left, the others to the right, two spaces between. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const pad = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!);
  return rows.map((row) => `${row.map(pad).join("  ").trimEnd()}\n`).join("");
}
