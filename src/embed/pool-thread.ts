import { Worker } from "node:worker_threads";
import { InputError, InternalError } from "../errors.ts";
import type { RunStatistics } from "./embedding-model.ts";
import type { LoadOptions } from "./load.ts";
import {
  type FromWorker,
  fromPlainError,
  type Job,
  type JobResult,
  type ModelFacts,
  type ToWorker,
  type WorkerStart,
} from "./worker-protocol.ts";

interface Waiting {
  readonly resolve: (result: JobResult) => void;
  readonly reject: (error: Error) => void;
}

const noRuns: RunStatistics = { runs: 0, sequences: 0, tokens: 0, cells: 0, runtimeMs: 0 };

/** The near end of one worker thread. */
export class PoolThread {
  readonly facts: ModelFacts;
  /** What the thread's model had run when it last answered. */
  statistics: RunStatistics = noRuns;
  readonly #worker: Worker;
  readonly #waiting: Map<number, Waiting>;
  readonly #ended: Promise<void>;
  #nextId = 0;

  private constructor(worker: Worker, facts: ModelFacts) {
    this.#worker = worker;
    this.facts = facts;
    this.#waiting = new Map();
    worker.on("message", (message: FromWorker) => this.#settle(message));
    worker.on("error", (error) => this.#rejectAll(error));
    this.#ended = new Promise((done) => {
      worker.on("exit", () => {
        this.#rejectAll(new InternalError("runtime", "a worker thread ended before its work was done."));
        done();
      });
    });
  }

  /** Starts a thread and waits until its model is loaded. */
  static start(
    data: WorkerStart,
    { onProgress, onWarning, signal }: Pick<LoadOptions, "onProgress" | "onWarning" | "signal"> = {},
  ): Promise<PoolThread> {
    const worker = new Worker(new URL("./pool-worker.js", import.meta.url), { workerData: data });
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        reject(new InputError("aborted", "stopped by the caller's signal.", { cause: signal?.reason }));
        void worker.terminate();
      };
      if (signal?.aborted) abort();
      signal?.addEventListener("abort", abort, { once: true });
      const onExit = (): void =>
        reject(new InternalError("runtime", "a worker thread ended while its model was loaded."));
      const onMessage = (message: FromWorker): void => {
        if (message.kind === "progress") onProgress?.(message.progress);
        else if (message.kind === "warning") onWarning?.(message.message);
        else if (message.kind === "error") reject(fromPlainError(message.error));
        else if (message.kind === "ready") {
          worker.off("message", onMessage).off("error", reject).off("exit", onExit);
          signal?.removeEventListener("abort", abort);
          resolve(new PoolThread(worker, message.facts));
        }
      };
      worker.on("message", onMessage);
      worker.on("error", reject);
      worker.on("exit", onExit);
    });
  }

  /** Jobs that are not done. */
  get load(): number {
    return this.#waiting.size;
  }

  async run(job: Job, signal: AbortSignal | undefined): Promise<JobResult> {
    const id = this.#nextId++;
    const result = new Promise<JobResult>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.#send({ kind: "job", id, job });
    const abort = (): void => this.#send({ kind: "abort", id });
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    return result.finally(() => signal?.removeEventListener("abort", abort));
  }

  async close(): Promise<void> {
    this.#send({ kind: "close" });
    await this.#ended;
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #settle(message: FromWorker): void {
    if (message.kind === "result") {
      this.statistics = message.result.statistics;
      this.#waiting.get(message.id)?.resolve(message.result);
      this.#waiting.delete(message.id);
    } else if (message.kind === "error" && message.id !== undefined) {
      this.#waiting.get(message.id)?.reject(fromPlainError(message.error));
      this.#waiting.delete(message.id);
    }
  }

  #rejectAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
