import type { MultiBar, SingleBar } from "cli-progress";
import type { LoadProgress } from "../embed/load.ts";
import type { CliContext } from "./context.ts";
import { RedrawnLine } from "./redrawn-line.ts";

const redrawMs = 100;

/** `12,000 sentences`, `1 sentence`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Decimal units, three digits: `138 MB`, `1.34 GB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : Number(value.toPrecision(3))} ${units[unit]}`;
}

function formatRate(sentences: number, elapsedMs: number): string {
  const rate = (sentences / Math.max(elapsedMs, 0.5)) * 1000;
  return `${rate.toLocaleString("en-US", { maximumFractionDigits: rate < 10 ? 1 : 0 })} sentences/s`;
}

/** Sentences done, on stderr: redrawn on a terminal, elsewhere only the summary. Silent when quiet. */
export class EmbedProgress {
  readonly #line: RedrawnLine;
  readonly #quiet: boolean;
  readonly #startedAt = performance.now();
  #drawnAt = performance.now();
  #sentences = 0;

  constructor(context: CliContext, quiet: boolean) {
    this.#line = new RedrawnLine(context);
    this.#quiet = quiet;
  }

  get sentences(): number {
    return this.#sentences;
  }

  add(): void {
    this.#sentences++;
    if (this.#quiet || !this.#line.isTerminal) return;
    const now = performance.now();
    if (now - this.#drawnAt < redrawMs) return;
    this.#drawnAt = now;
    this.#line.draw(`${counted(this.#sentences, "sentence")} · ${formatRate(this.#sentences, now - this.#startedAt)}`);
  }

  /** Takes the redrawn line away. */
  clear(): void {
    this.#line.clear();
  }

  summarize(loaded: string): void {
    this.clear();
    if (this.#quiet) return;
    const rate = formatRate(this.#sentences, performance.now() - this.#startedAt);
    this.#line.print(`${loaded} · ${counted(this.#sentences, "sentence")} · ${rate}`);
  }
}

export interface DownloadProgress {
  readonly onProgress: (progress: LoadProgress) => void;
  /** When the last bytes came, by performance.now(); undefined if none did. */
  lastAt(): number | undefined;
  stop(): void;
}

/** A bar for each file or step on a terminal, one line for each elsewhere. */
export function downloadProgress({ stderr }: CliContext, quiet: boolean): DownloadProgress {
  const seen = new Set<string>();
  let lastAt: number | undefined;
  const bars = !quiet && stderr.isTTY ? new DownloadBars(stderr) : undefined;
  return {
    onProgress(progress) {
      lastAt = performance.now();
      bars?.update(progress);
      const { action = "fetching", file, totalBytes } = progress;
      const line = `${action} ${file}${action === "fetching" ? "" : ", once"}`;
      if (quiet || bars || seen.has(line)) return;
      seen.add(line);
      stderr.write(`${line}${totalBytes === undefined ? "" : ` (${formatBytes(totalBytes)})`}\n`);
    },
    lastAt: () => lastAt,
    stop: () => bars?.stop(),
  };
}

/** cli-progress is only loaded when there is something to fetch. */
class DownloadBars {
  readonly #stderr: CliContext["stderr"];
  readonly #bars = new Map<string, SingleBar>();
  #multiBar: MultiBar | undefined;
  #loading: Promise<void> | undefined;
  #isStopped = false;

  constructor(stderr: CliContext["stderr"]) {
    this.#stderr = stderr;
  }

  update({ action = "fetching", file: name, receivedBytes, totalBytes }: LoadProgress): void {
    if (this.#isStopped) return;
    if (!this.#multiBar) {
      this.#loading ??= this.#load();
      return;
    }
    const file = action === "fetching" ? name : `${action} ${name}`;
    const total = totalBytes ?? receivedBytes;
    let bar = this.#bars.get(file);
    if (!bar) {
      bar = this.#multiBar.create(total, receivedBytes, { file, ofTotal: "" });
      this.#bars.set(file, bar);
    }
    if (bar.getTotal() !== total) bar.setTotal(total);
    const ofTotal = totalBytes === undefined ? "" : ` of ${formatBytes(totalBytes)}`;
    bar.update(receivedBytes, { file, ofTotal: `${formatBytes(receivedBytes)}${ofTotal}` });
  }

  stop(): void {
    this.#isStopped = true;
    this.#multiBar?.stop();
  }

  async #load(): Promise<void> {
    const { default: cliProgress } = await import("cli-progress");
    if (this.#isStopped) return;
    const options = { format: "{file} [{bar}] {ofTotal} · {eta_formatted} left", barsize: 24, clearOnComplete: true };
    this.#multiBar = new cliProgress.MultiBar({ ...options, stream: this.#stderr as NodeJS.WriteStream });
  }
}
