import type { EvaluationRun } from "./evaluate.ts";
import { averagePercent, percent } from "./sts.ts";
import { stsTasks, taskTitles } from "./tasks.ts";

/** The paper's table for a terminal: Spearman × 100 of each set, and the average where all seven are there. */
export function resultTable(run: EvaluationRun): string {
  const cells: [string, string][] = run.sts.map(({ task, all }) => [taskTitles[task], shown(percent(all.spearman))]);
  const seven = stsTasks.map((task) => run.sts.find((result) => result.task === task));
  if (seven.every((result) => result !== undefined)) {
    cells.push(["Avg.", shown(averagePercent(seven.map((result) => result.all.spearman)))]);
  }
  const widths = cells.map((cell) => Math.max(...cell.map((text) => text.length)));
  const line = (at: 0 | 1): string => cells.map((cell, i) => cell[at].padStart(widths[i]!)).join("  ");
  return `${line(0)}\n${line(1)}\n`;
}

const shown = (value: number): string => (Number.isNaN(value) ? "n/a" : value.toFixed(2));
