import type { CliContext } from "./context.ts";

/** A line on a terminal's stderr that is written over, and lines that stay, which push it out of the way. */
export class RedrawnLine {
  /** Whether there is a terminal to draw on. */
  readonly isTerminal: boolean;
  readonly #stderr: CliContext["stderr"];
  #isDrawn = false;

  constructor({ stderr }: CliContext) {
    this.#stderr = stderr;
    this.isTerminal = stderr.isTTY === true;
  }

  draw(text: string): void {
    this.clear();
    this.#stderr.write(text);
    this.#isDrawn = true;
  }

  /** A line that stays. */
  print(text: string): void {
    this.clear();
    this.#stderr.write(`${text}\n`);
  }

  /** Takes the redrawn line away. */
  clear(): void {
    if (this.#isDrawn) this.#stderr.write("\r\x1b[K");
    this.#isDrawn = false;
  }
}
