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

/** A line of a chart: points from left to right. */
export interface ChartLine {
  readonly points: readonly (readonly [number, number])[];
  readonly colour: string;
  /** Drawn thin and light, behind what sums it up. */
  readonly isFaint?: boolean;
  /** Goes on level to the next point, and jumps there. */
  readonly isStepped?: boolean;
}

export interface LineChart {
  readonly title: string;
  readonly lines: readonly ChartLine[];
  readonly xText: (x: number) => string;
  readonly yText: (y: number) => string;
}

const curve = { width: 460, height: 230, left: 58, right: 14, top: 12, bottom: 26 };

/** Lines over a common axis; the scales reach as far as the points do. */
export function lineChart({ title, lines, xText, yText }: LineChart): string {
  const { width, height, left, right, top, bottom } = curve;
  const points = lines.flatMap((one) => one.points);
  if (points.length === 0) return `<p class="faint">${escapeHtml(title)}: nothing yet.</p>`;
  const xs = extent(points.map(([x]) => x));
  const ys = extent(points.map(([, y]) => y));
  const x = (value: number): number => left + ((value - xs.low) / xs.span) * (width - left - right);
  const y = (value: number): number => top + ((ys.high - value) / ys.span) * (height - top - bottom);
  const yTicks = [0, 1, 2, 3, 4].map((part) => ys.low + (part * ys.span) / 4);
  const xTicks = [0, 0.5, 1].map((part) => xs.low + part * xs.span);
  const anchors = ["start", "middle", "end"] as const;
  const axes = [
    ...yTicks.flatMap((value) => [
      line(left, y(value), width - right, y(value), "grid"),
      label(left - 6, y(value) + 4, yText(value), "end"),
    ]),
    ...xTicks.map((value, i) => label(x(value), height - 8, xText(value), anchors[i]!)),
  ];
  const drawn = lines.map(({ points: own, colour, isFaint, isStepped }) => {
    const at = own.map(([a, b]) => [x(a).toFixed(1), y(b).toFixed(1)] as const);
    const path = at.map(([a, b], i) => (i === 0 ? `M${a} ${b}` : isStepped ? `H${a}V${b}` : `L${a} ${b}`)).join("");
    const dots =
      own.length < 40 && !isFaint ? at.map(([a, b]) => `<circle cx="${a}" cy="${b}" r="2.5"/>`).join("") : "";
    const stroke = isFaint ? 'stroke-width="1" stroke-opacity=".35"' : 'stroke-width="2"';
    return `<g fill="${colour}"><path d="${path}" fill="none" stroke="${colour}" stroke-linejoin="round" ${stroke}/>${dots}</g>`;
  });
  const [first, last] = [points[0]!, lines.at(-1)!.points.at(-1) ?? points.at(-1)!];
  const text = `${title}, ${yText(first[1])} to ${yText(last[1])}`; // for who cannot see the curve
  return svg(width, height, escapeHtml(text), [...axes, ...drawn]);
}

/** Least and most; where they are the same, some room around them. */
function extent(values: readonly number[]): { low: number; high: number; span: number } {
  const [least, most] = values.reduce(
    ([a, b], value) => [Math.min(a, value), Math.max(b, value)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ) as [number, number];
  if (most > least) return { low: least, high: most, span: most - least };
  const room = Math.abs(least) / 10 || 1;
  return { low: least - room, high: least + room, span: 2 * room };
}

const svg = (width: number, height: number, title: string, parts: readonly string[]): string =>
  `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img"><title>${title}</title>${parts.join("")}</svg>`;

const line = (x1: number, y1: number, x2: number, y2: number, className: string): string =>
  `<line class="${className}" x1="${x1}" y1="${y1.toFixed(1)}" x2="${x2}" y2="${y2.toFixed(1)}"/>`;

const label = (x: number, y: number, text: string, anchor: "start" | "middle" | "end"): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escapeHtml(text)}</text>`;
