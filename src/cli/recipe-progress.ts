import type { SearchProgress } from "../recipes/search.ts";
import type { CliContext } from "./context.ts";
import { RedrawnLine } from "./redrawn-line.ts";

const lineEveryMs = 30_000;

/** Where a search is, on stderr: redrawn on a terminal, elsewhere a line at each new stage or best, and now and then. */
export class SearchProgressLine {
  readonly #line: RedrawnLine;
  readonly #quiet: boolean;
  #shown = "";
  #shownAt = Number.NEGATIVE_INFINITY;

  constructor(context: CliContext, quiet: boolean) {
    this.#line = new RedrawnLine(context);
    this.#quiet = quiet;
  }

  show({ stage, done, total, texts, best }: SearchProgress): void {
    if (this.#quiet) return;
    const score = best ? ` · best ${best.score.toFixed(2)}` : "";
    const line = `${stage} · ${done}/${total} · ${texts.toLocaleString("en-US")} texts${score}`;
    if (this.#line.isTerminal) {
      this.#line.draw(line);
      return;
    }
    const subject = `${stage}${score}`;
    if (subject === this.#shown && performance.now() - this.#shownAt < lineEveryMs) return;
    [this.#shown, this.#shownAt] = [subject, performance.now()];
    this.#line.print(line);
  }

  /** Takes the redrawn line away. */
  clear(): void {
    this.#line.clear();
  }
}
