import { Worker } from "node:worker_threads";
import { InputError, InternalError, stoppedByCaller } from "../errors.ts";
import { unpackError } from "../files/thread-error.ts";
import type { RecipeOptions } from "../text/recipe.ts";
import type { RunStatistics } from "./embedding-model.ts";
import type { LoadOptions } from "./load.ts";
import type { Arguments, FromWorker, Method, ModelFacts, Outcome, ToWorker, WorkerStart } from "./worker-protocol.ts";

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The near end of one worker thread. */
export class PoolThread {
  /** Of the model as it was loaded. */
  readonly facts: ModelFacts;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #statistics = new Map<number, RunStatistics>();
  readonly #ended: Promise<void>;
  #nextId = 0;
  /** Why the thread answers no more. */
  #failure: Error | undefined;

  private constructor(worker: Worker, facts: ModelFacts) {
    this.#worker = worker;
    this.facts = facts;
    worker.on("message", (message: FromWorker) => this.#settle(message));
    worker.on("error", (error) => this.#fail(error));
    this.#ended = new Promise((done) => {
      worker.on("exit", () => {
        this.#fail(new InternalError("runtime", "a worker thread ended before its work was done."));
        done();
      });
    });
  }

  /** Starts a thread and waits until its model is loaded. */
  static start(
    data: WorkerStart,
    { onProgress, onWarning, signal }: Pick<LoadOptions, "onProgress" | "onWarning" | "signal">,
  ): Promise<PoolThread> {
    const worker = new Worker(new URL("./pool-worker.js", import.meta.url), {
      name: "oneword embeddings",
      workerData: data,
      execArgv: [], // the parent's --input-type would be refused
    });
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        reject(new InputError("aborted", stoppedByCaller, { cause: signal?.reason }));
        void worker.terminate();
      };
      if (signal?.aborted) abort();
      signal?.addEventListener("abort", abort, { once: true });
      const onExit = (): void =>
        reject(new InternalError("runtime", "a worker thread ended while its model was loaded."));
      const onMessage = (message: FromWorker): void => {
        if (message.kind === "progress") onProgress?.(message.progress);
        else if (message.kind === "warning") onWarning?.(message.message);
        else if (message.kind === "error") reject(unpackError(message.error));
        else if (message.kind === "ready") {
          worker.off("message", onMessage).off("error", reject).off("exit", onExit);
          signal?.removeEventListener("abort", abort);
          resolve(new PoolThread(worker, message.facts));
        }
      };
      worker.on("message", onMessage).on("error", reject).on("exit", onExit);
    });
  }

  /** Calls that are not done. */
  get load(): number {
    return this.#waiting.size;
  }

  /** What a view had run when it last answered. */
  statistics(view: number): RunStatistics | undefined {
    return this.#statistics.get(view);
  }

  /** @param args  as the model's method has them, the options last and without a signal */
  async call<M extends Method>(
    view: number,
    method: M,
    args: Arguments<M>,
    signal: AbortSignal | undefined,
  ): Promise<Outcome<M>> {
    const id = this.#nextId++;
    const abort = (): void => this.#send({ kind: "abort", id });
    const value = this.#ask({ kind: "call", id, view, method, args });
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    return value.finally(() => signal?.removeEventListener("abort", abort)) as Promise<Outcome<M>>;
  }

  open(view: number, from: number, recipe: RecipeOptions): Promise<ModelFacts> {
    return this.#ask({ kind: "open", id: this.#nextId++, view, from, recipe }) as Promise<ModelFacts>;
  }

  /** Ends a view; the thread ends with its last one. */
  close(view: number): void {
    this.#send({ kind: "close", view });
  }

  /** Settles when the thread has ended. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  async #ask(request: Extract<ToWorker, { readonly id: number; readonly view: number }>): Promise<unknown> {
    if (this.#failure) throw this.#failure;
    const value = new Promise<unknown>((resolve, reject) => this.#waiting.set(request.id, { resolve, reject }));
    this.#send(request);
    return value;
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #settle(message: FromWorker): void {
    if (message.kind === "result") {
      this.#statistics.set(message.view, message.statistics);
      this.#waiting.get(message.id)?.resolve(message.value);
      this.#waiting.delete(message.id);
    } else if (message.kind === "error" && message.id !== undefined) {
      this.#waiting.get(message.id)?.reject(unpackError(message.error));
      this.#waiting.delete(message.id);
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
