import type { EvaluationReport, StepReport } from "../train/trainer.ts";
import type { CliContext } from "./context.ts";

/** Steps on stderr: one line, redrawn, on a terminal, elsewhere a line a step; a line for each score. */
export class TrainProgress {
  readonly #stderr: CliContext["stderr"];
  readonly #quiet: boolean;
  readonly #redraws: boolean;
  #isDrawn = false;
  #steps = 0;
  #seconds = 0;
  #sentences = 0;
  #dev = "";

  constructor({ stderr }: CliContext, quiet: boolean) {
    this.#stderr = stderr;
    this.#quiet = quiet;
    this.#redraws = stderr.isTTY === true;
  }

  /** How much runs at once within a memory. */
  start(memory: string, microBatchTokens: number | "batch"): void {
    const run = microBatchTokens === "batch" ? "the whole batch" : `${microBatchTokens.toLocaleString("en-US")} tokens`;
    this.#write(`${run} at once, within ${memory}`, false);
  }

  step({ step, totalSteps, loss, seconds, sentences }: StepReport): void {
    this.#steps++;
    this.#seconds += seconds;
    this.#sentences += sentences;
    const left = (this.#seconds / this.#steps) * (totalSteps - step);
    const rate = this.#sentences / this.#seconds;
    this.#write(
      `step ${step}/${totalSteps} · loss ${loss.toFixed(4)}${this.#dev} · ${rate.toFixed(1)} sentences/s · ${clock(left)} left`,
      this.#redraws,
    );
  }

  evaluation({ step, devSpearman, isBest }: EvaluationReport): void {
    const score = (devSpearman * 100).toFixed(2);
    this.#dev = ` · dev ${score}`;
    this.#write(`step ${step} · STS-B dev ${score}${isBest ? ", the best so far: kept" : ""}`, false);
  }

  warning(message: string): void {
    this.#write(`warning: ${message}`, false);
  }

  /** Takes the redrawn line away. */
  clear(): void {
    if (this.#isDrawn) this.#stderr.write("\r\x1b[K");
    this.#isDrawn = false;
  }

  #write(line: string, redrawn: boolean): void {
    if (this.#quiet) return;
    this.clear();
    this.#stderr.write(redrawn ? line : `${line}\n`);
    this.#isDrawn = redrawn;
  }
}

/** `1:02:03` or `2:03`. */
function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number): string => String(value).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
