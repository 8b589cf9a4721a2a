import type { EvaluationReport, StepReport } from "../train/trainer.ts";
import type { CliContext } from "./context.ts";
import { RedrawnLine } from "./redrawn-line.ts";

/** Steps on stderr: one line, redrawn, on a terminal, elsewhere a line a step; a line for each score. */
export class TrainProgress {
  readonly #line: RedrawnLine;
  readonly #quiet: boolean;
  #steps = 0;
  #seconds = 0;
  #sentences = 0;
  #dev = "";

  constructor(context: CliContext, quiet: boolean) {
    this.#line = new RedrawnLine(context);
    this.#quiet = quiet;
  }

  /** How much runs at once within a memory. */
  start(memory: string, microBatchTokens: number | "batch"): void {
    const run = microBatchTokens === "batch" ? "the whole batch" : `${microBatchTokens.toLocaleString("en-US")} tokens`;
    this.#print(`${run} at once, within ${memory}`);
  }

  step({ step, totalSteps, loss, seconds, sentences }: StepReport): void {
    this.#steps++;
    this.#seconds += seconds;
    this.#sentences += sentences;
    const left = (this.#seconds / this.#steps) * (totalSteps - step);
    const rate = this.#sentences / this.#seconds;
    const line = `step ${step}/${totalSteps} · loss ${loss.toFixed(4)}${this.#dev} · ${rate.toFixed(1)} sentences/s · ${clock(left)} left`;
    if (!this.#line.isTerminal) this.#print(line);
    else if (!this.#quiet) this.#line.draw(line);
  }

  evaluation({ step, devSpearman, isBest }: EvaluationReport): void {
    const score = (devSpearman * 100).toFixed(2);
    this.#dev = ` · dev ${score}`;
    this.#print(`step ${step} · STS-B dev ${score}${isBest ? ", the best so far: kept" : ""}`);
  }

  warning(message: string): void {
    this.#print(`warning: ${message}`);
  }

  /** Takes the redrawn line away. */
  clear(): void {
    this.#line.clear();
  }

  #print(line: string): void {
    if (!this.#quiet) this.#line.print(line);
  }
}

/** `1:02:03` or `2:03`. */
function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number): string => String(value).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
