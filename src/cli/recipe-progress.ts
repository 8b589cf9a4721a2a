import type { SearchProgress } from "../recipes/search.ts";
import type { CliContext } from "./context.ts";

const lineEveryMs = 30_000;

/** Where a search is, on stderr: redrawn on a terminal, elsewhere a line at each new stage or best, and now and then. */
export class SearchProgressLine {
  readonly #stderr: CliContext["stderr"];
  readonly #quiet: boolean;
  #isDrawn = false;
  #shown = "";
  #shownAt = Number.NEGATIVE_INFINITY;

  constructor({ stderr }: CliContext, quiet: boolean) {
    this.#stderr = stderr;
    this.#quiet = quiet;
  }

  show({ stage, done, total, texts, best }: SearchProgress): void {
    if (this.#quiet) return;
    const score = best ? ` · best ${best.score.toFixed(2)}` : "";
    const line = `${stage} · ${done}/${total} · ${texts.toLocaleString("en-US")} texts${score}`;
    if (this.#stderr.isTTY) {
      this.#stderr.write(`\r\x1b[K${line}`);
      this.#isDrawn = true;
      return;
    }
    const subject = `${stage}${score}`;
    if (subject === this.#shown && performance.now() - this.#shownAt < lineEveryMs) return;
    [this.#shown, this.#shownAt] = [subject, performance.now()];
    this.#stderr.write(`${line}\n`);
  }

  /** Takes the redrawn line away. */
  clear(): void {
    if (this.#isDrawn) this.#stderr.write("\r\x1b[K");
    this.#isDrawn = false;
  }
}
