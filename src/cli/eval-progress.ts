import type { SingleBar } from "cli-progress";
import type { EmbeddingState } from "../evaluate/embed-texts.ts";
import { type Task, taskTitles } from "../evaluate/tasks.ts";
import type { CliContext } from "./context.ts";
import { counted } from "./progress.ts";

/** What an evaluation is doing, on stderr: a bar with the time left on a terminal, elsewhere a line for each stage. */
export class EvalProgress {
  readonly #stderr: CliContext["stderr"];
  readonly #quiet: boolean;
  #bar: SingleBar | undefined;
  #hasBegun = false;

  private constructor({ stderr }: CliContext, quiet: boolean, bar: SingleBar | undefined) {
    this.#stderr = stderr;
    this.#quiet = quiet;
    this.#bar = bar;
  }

  static async create(context: CliContext, quiet: boolean): Promise<EvalProgress> {
    const isShown = !quiet && context.stderr.isTTY === true;
    return new EvalProgress(context, quiet, isShown ? await createBar(context.stderr) : undefined);
  }

  embed({ doneTexts, totalTexts, doneCharacters, totalCharacters }: EmbeddingState): void {
    const payload = { texts: `${doneTexts.toLocaleString("en-US")}/${counted(totalTexts, "text")}` };
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      if (!this.#quiet && !this.#bar && totalTexts > 0)
        this.#stderr.write(`embedding ${counted(totalTexts, "text")}\n`);
      this.#bar?.start(Math.max(1, totalCharacters), 0, payload);
    } else this.#bar?.update(doneCharacters, payload);
  }

  transfer(task: Task): void {
    this.stop();
    if (!this.#quiet) this.#stderr.write(`training the classifiers of ${taskTitles[task]}\n`);
  }

  /** Takes the bar away. */
  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}

async function createBar(stderr: CliContext["stderr"]): Promise<SingleBar> {
  const { default: cliProgress } = await import("cli-progress");
  const format = "[{bar}] {texts} · {eta_formatted} left";
  const options = { format, barsize: 30, etaBuffer: 50, clearOnComplete: true, hideCursor: true };
  return new cliProgress.SingleBar({ ...options, stream: stderr as NodeJS.WriteStream });
}
