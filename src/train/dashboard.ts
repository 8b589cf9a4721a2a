import { InputError } from "../errors.ts";
import { lineChart } from "../evaluate/report/charts.ts";
import { colourOf, escapeHtml, htmlPage, htmlTable } from "../evaluate/report/html.ts";
import { replaceFile } from "../files/replace-file.ts";
import type { LogEntry } from "./training-log.ts";

/** Least time between two writes, and after how long a browser reads the page again. */
const refreshSeconds = 10;
/** More points than this are averaged: a curve has no more pixels. */
const maxPoints = 400;

export interface DashboardParts {
  /** What was asked for, by the names of the options. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Every step and every evaluation, oldest first. */
  readonly log: readonly LogEntry[];
  /** `running`, or how the run ended. */
  readonly state: string;
  readonly at: Date;
}

/** A page that shows a run: where it stands and how it got there. It reads itself again while the run goes on. */
export function dashboardHtml({ options, log, state, at }: DashboardParts): string {
  const isRunning = state === "running";
  const steps = log.filter(({ loss }) => typeof loss === "number");
  const scores = log.filter(({ devSpearman }) => typeof devSpearman === "number");
  const last = steps.at(-1);
  const body = `<h1>Training ${escapeHtml(String(options.output))}</h1>
<p>${escapeHtml(last ? `step ${whole(last.step)} of ${whole(numberIn(last, "totalSteps"))}` : "no step yet")}${isRunning ? remaining(steps) : ""} · ${escapeHtml(state)}</p>
<p class="faint">As of ${at.toISOString().slice(0, 19).replace("T", " ")} UTC.${isRunning ? " Much older than a step takes: the process has ended; --resume goes on." : ""}</p>
${bestLine(scores)}
<div class="charts">
${curves(steps, scores).join("\n")}
</div>
<h2>Options</h2>
${htmlTable([["option", "value"], ...Object.entries(options).map(([name, value]) => [escapeHtml(name), `<code>${escapeHtml(JSON.stringify(value))}</code>`])], "pairs")}`;
  return htmlPage(`oneword: training, ${state}`, body, isRunning ? refreshSeconds : undefined);
}

function curves(steps: readonly LogEntry[], scores: readonly LogEntry[]): string[] {
  const points = (entries: readonly LogEntry[], value: (entry: LogEntry) => number) =>
    entries.map((entry) => [entry.step, value(entry)] as const);
  const noisy = (value: (entry: LogEntry) => number) => {
    const all = points(steps, value);
    return [
      { points: thinned(all), colour: colourOf(0), isFaint: true },
      { points: thinned(smoothed(all)), colour: colourOf(0) },
    ];
  };
  const plain = (entries: readonly LogEntry[], name: string, factor = 1) => [
    { points: thinned(points(entries, (entry) => factor * numberIn(entry, name))), colour: colourOf(0) },
  ];
  const charts = [
    ["Loss, nats", noisy((entry) => numberIn(entry, "loss")), 3],
    ["Spearman × 100 on STS-B dev", plain(scores, "devSpearman", 100), 2],
    ["Norm of the gradient, before clipping", noisy((entry) => numberIn(entry, "gradNorm")), 2],
    ["Learning rate × 1,000", plain(steps, "learningRate", 1000), 3],
    ["Sentences a second", noisy((entry) => numberIn(entry, "sentences") / numberIn(entry, "seconds")), 1],
  ] as const;
  return charts.map(([title, lines, digits]) => {
    const chart = lineChart({ title, lines, xText: whole, yText: (y) => y.toFixed(digits) });
    return `<figure>${chart}<figcaption>${title}</figcaption></figure>`;
  });
}

/** Mean of the point and those before it, a twentieth of all. */
function smoothed(points: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const width = Math.max(1, Math.floor(points.length / 20));
  let sum = 0;
  return points.map(([x, y], i) => {
    sum += y - (points[i - width]?.[1] ?? 0);
    return [x, sum / Math.min(i + 1, width)];
  });
}

/** Neighbours as one point, their mean. */
function thinned(points: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const width = Math.ceil(points.length / maxPoints);
  if (width <= 1) return [...points];
  return Array.from({ length: Math.ceil(points.length / width) }, (_, i) => {
    const group = points.slice(i * width, (i + 1) * width);
    const mean = (at: 0 | 1): number => group.reduce((sum, point) => sum + point[at], 0) / group.length;
    return [mean(0), mean(1)];
  });
}

function bestLine(scores: readonly LogEntry[]): string {
  const best = scores.reduce<LogEntry | undefined>(
    (so, entry) => (so && numberIn(so, "devSpearman") >= numberIn(entry, "devSpearman") ? so : entry),
    undefined,
  );
  if (!best) return '<p class="faint">Not scored yet.</p>';
  return `<p>Best on STS-B dev: <strong>${(100 * numberIn(best, "devSpearman")).toFixed(2)}</strong> after step ${whole(best.step)}; this adapter is kept.</p>`;
}

/** By the mean of the last twenty steps. */
function remaining(steps: readonly LogEntry[]): string {
  const recent = steps.slice(-20);
  const last = recent.at(-1);
  if (!last) return "";
  const seconds = recent.reduce((sum, entry) => sum + numberIn(entry, "seconds"), 0) / recent.length;
  const left = seconds * (numberIn(last, "totalSteps") - last.step);
  return `, ${left < 5400 ? `${Math.ceil(left / 60)} min` : `${(left / 3600).toFixed(1)} h`} left`;
}

const numberIn = (entry: LogEntry, name: string): number => Number(entry[name]);
const whole = (value: number): string => Math.round(value).toLocaleString("en-US");

export interface DashboardOptions {
  readonly file: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly onWarning: (message: string) => void;
}

/** The page in a file, rewritten as the run goes on. Once it could be written, a failure is a warning and no end of the run. */
export class Dashboard {
  readonly #options: DashboardOptions;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #hasFailed = false;

  private constructor(options: DashboardOptions) {
    this.#options = options;
  }

  /** @throws InputError "bad-option" when the file cannot be written */
  static async open(options: DashboardOptions, log: readonly LogEntry[]): Promise<Dashboard> {
    const dashboard = new Dashboard(options);
    await dashboard.#write(log, "running").catch((cause: Error) => {
      throw new InputError(
        "bad-option",
        `the dashboard ${options.file}: ${cause.message.replace(/\.$/, "")}. Choose another place.`,
        {
          cause,
        },
      );
    });
    return dashboard;
  }

  /** Writes, unless it has done so a moment ago and the run goes on. */
  async show(log: readonly LogEntry[], state = "running"): Promise<void> {
    const isRecent = performance.now() - this.#writtenAt < refreshSeconds * 1000;
    if (state === "running" && isRecent) return;
    try {
      await this.#write(log, state);
    } catch (error) {
      if (!this.#hasFailed) this.#options.onWarning(`the dashboard is no longer written: ${(error as Error).message}`);
      this.#hasFailed = true;
    }
  }

  async #write(log: readonly LogEntry[], state: string): Promise<void> {
    const { file, options } = this.#options;
    await replaceFile(file, Buffer.from(dashboardHtml({ options, log, state, at: new Date() })));
    this.#writtenAt = performance.now();
  }
}
