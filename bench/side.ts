import { type ChildProcess, spawn } from "node:child_process";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import type { ModelFiles } from "../src/files/model-files.ts";

/** What a side says of one run. */
export interface Measure {
  readonly seconds: number;
  readonly peakBytes: number;
  /** Of the first vector, to see that all sides compute the same. */
  readonly first: readonly number[];
  readonly loss?: number;
  /** After the run. */
  readonly residentBytes?: number;
  /** Tokens that were run, without those of the shared prefix. */
  readonly tokensPerSentence?: number;
  /** Those of them that were computed: a beginning that sentences of one run share once. */
  readonly computedPerSentence?: number;
  /** Of the cells of attention's grids. */
  readonly paddingShare?: number;
  /** Of the time. */
  readonly outsideShare?: number;
}

/** A process that runs the job once whenever it is asked to. */
export class Side {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  name = "";
  readonly measures: Measure[] = [];

  constructor(command: string, args: readonly string[], setUp: unknown, threads: number) {
    const env = { ...process.env, THREADS: String(threads) };
    this.#process = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], env });
    this.#lines = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
    this.#process.stdin!.write(`${JSON.stringify(setUp)}\n`);
  }

  async ready(): Promise<void> {
    await this.started();
    await this.run();
    this.measures.length = 0; // the first run warms up
  }

  /** What it says when it has loaded its model. */
  async started(): Promise<{ readonly residentBytes?: number }> {
    const answer = await this.#answer<{ name: string; residentBytes?: number }>();
    this.name = answer.name;
    return answer;
  }

  async run(): Promise<Measure> {
    this.#process.stdin!.write("run\n");
    const measure = await this.#answer<Measure>();
    this.measures.push(measure);
    return measure;
  }

  close(): void {
    this.#process.stdin!.end();
  }

  async #answer<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.name || "a side"} ended early; its messages are above.`);
    return JSON.parse(value) as T;
  }
}

export const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;

/** What transformers is told: a GGUF file, or the folder of safetensors. */
export const peerModel = ({ weights: { kind, file } }: ModelFiles): string => (kind === "gguf" ? file : dirname(file));
