import type { Difference } from "../bootstrap.ts";
import { signed } from "../result-table.ts";
import type { SavedSts } from "../saved-run.ts";
import { taskTitles } from "../tasks.ts";
import { colourOf, escapeHtml } from "./html.ts";

const scatter = { width: 320, height: 260, left: 38, right: 10, top: 10, bottom: 34 };

/** Score against cosine, a dot for each pair of a set. */
export function scatterChart({ subsets }: SavedSts, colour: string): string {
  const points = subsets.flatMap(({ scores, cosines }) => scores.map((score, i) => [score, cosines[i]!] as const));
  const cosines = points.map(([, cosine]) => cosine);
  const [low, high] = [Math.floor(10 * Math.min(...cosines)) / 10, Math.ceil(10 * Math.max(...cosines)) / 10];
  const { width, height, left, right, top, bottom } = scatter;
  const x = (score: number): number => left + (score / 5) * (width - left - right);
  const y = (cosine: number): number => top + ((high - cosine) / (high - low || 1)) * (height - top - bottom);
  const ticks = [low, (low + high) / 2, high];
  const axes = [
    ...[0, 1, 2, 3, 4, 5].map((score) => label(x(score), height - 18, String(score), "middle")),
    ...ticks.map((cosine) => line(left, y(cosine), width - right, y(cosine), "grid")),
    ...ticks.map((cosine) => label(left - 5, y(cosine) + 4, cosine.toFixed(2), "end")),
    label((left + width) / 2, height - 3, "score", "middle"),
    label(left + 3, top + 9, "cosine", "start"),
  ];
  return svg(width, height, "score against cosine", [...axes, ...dots(points, x, y, colour)]);
}

/** A few paths of round zero-length strokes: a tenth of the size of as many circles. */
function dots(
  points: readonly (readonly [number, number])[],
  x: (score: number) => number,
  y: (cosine: number) => number,
  colour: string,
): string[] {
  const layers = 6; // strokes of one path do not darken each other, those of several do
  return Array.from({ length: layers }, (_, layer) => {
    const steps = points
      .filter((_, i) => i % layers === layer)
      .map(([score, cosine]) => `M${x(score).toFixed(1)} ${y(cosine).toFixed(1)}h0`);
    return `<path d="${steps.join("")}" stroke="${colour}" stroke-width="3" stroke-linecap="round" stroke-opacity=".3"/>`;
  });
}

/** Spearman × 100 of every subset, a bar for each run. */
export function subsetBars(sets: readonly (SavedSts | undefined)[]): string {
  const names = sets.find((set) => set !== undefined)!.subsets.map(({ name }) => name);
  const [left, barHeight, gap, span] = [130, 11, 9, 260];
  const groupHeight = sets.length * (barHeight + 2) + gap;
  const marks = names.flatMap((name, group) => {
    const top = 6 + group * groupHeight;
    const bars = sets.flatMap((set, run) => {
      const value = set?.subsets.find((subset) => subset.name === name)?.spearman;
      if (value === undefined || value === null || Number.isNaN(value)) return [];
      const [width, at] = [Math.max(0, value) * span, top + run * (barHeight + 2)];
      return [
        `<rect x="${left}" y="${at}" width="${width.toFixed(1)}" height="${barHeight}" rx="2" fill="${colourOf(run)}"/>`,
        label(left + width + 4, at + 9.5, (100 * value).toFixed(1), "start"),
      ];
    });
    return [label(left - 6, top + (sets.length * (barHeight + 2)) / 2 + 3, name, "end"), ...bars];
  });
  return svg(left + span + 40, 6 + names.length * groupHeight, "Spearman of each subset", marks);
}

/** Differences of a run to the first with their intervals; what does not touch the line is not chance. */
export function differenceChart(differences: readonly Difference[], colour: string): string {
  const reach = Math.max(1, ...differences.flatMap(({ low, high }) => [Math.abs(low), Math.abs(high)]));
  const [left, span, rowHeight] = [90, 380, 22];
  const x = (points: number): number => left + ((points + reach) / (2 * reach)) * span;
  const height = differences.length * rowHeight + 26;
  const rows = differences.flatMap(({ task, difference, low, high }, row) => {
    const y = 14 + row * rowHeight;
    return [
      label(left - 8, y + 4, task === "average" ? "Average" : taskTitles[task], "end"),
      `<line x1="${x(low).toFixed(1)}" y1="${y}" x2="${x(high).toFixed(1)}" y2="${y}" stroke="${colour}" stroke-width="3" stroke-linecap="round" stroke-opacity=".5"/>`,
      `<circle cx="${x(difference).toFixed(1)}" cy="${y}" r="4.5" fill="${colour}"/>`,
    ];
  });
  const axis = [-reach, 0, reach].map((value) =>
    label(x(value), height - 4, value === 0 ? "0" : signed(value), "middle"),
  );
  return svg(left + span + 40, height, "differences", [line(x(0), 4, x(0), height - 18, "axis"), ...rows, ...axis]);
}

const svg = (width: number, height: number, title: string, parts: readonly string[]): string =>
  `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"><title>${title}</title>${parts.join("")}</svg>`;

const line = (x1: number, y1: number, x2: number, y2: number, className: string): string =>
  `<line class="${className}" x1="${x1}" y1="${y1.toFixed(1)}" x2="${x2}" y2="${y2.toFixed(1)}"/>`;

const label = (x: number, y: number, text: string, anchor: "start" | "middle" | "end"): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escapeHtml(text)}</text>`;
