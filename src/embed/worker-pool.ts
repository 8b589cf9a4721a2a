import { InputError } from "../errors.ts";
import type { Recipe } from "../text/recipe.ts";
import type { EmbeddingModel, EmbedOptions, RunStatistics, StreamedEmbedding } from "./embedding-model.ts";
import type { LoadOptions } from "./load.ts";
import { PoolThread } from "./pool-thread.ts";
import { cosineSimilarity } from "./pooling.ts";
import type { Word } from "./top-words.ts";
import type { JobResult, ModelFacts } from "./worker-protocol.ts";

/** Texts of one job: few enough that no thread waits long for another at the end. */
const jobTexts = 256;

/**
 * A model in several threads, each with its weights and a session of its own: where cores are shared with other work, one
 * session's threads wait for one another, and these do not. Costs the weights' memory once for each.
 */
export class WorkerPool implements EmbeddingModel {
  readonly #threads: readonly PoolThread[];
  readonly #facts: ModelFacts;
  #closed = false;

  private constructor(threads: readonly PoolThread[]) {
    this.#threads = threads;
    this.#facts = threads[0]!.facts;
  }

  /** The first thread fetches and prepares what is missing, the others find it there. */
  static async create(
    model: string | undefined,
    { workers = 1, signal, onProgress, onWarning, ...options }: LoadOptions,
  ): Promise<WorkerPool> {
    const start = { model, options: { threads: 1, ...options } };
    const first = await PoolThread.start(start, {
      ...(onProgress ? { onProgress } : {}),
      ...(onWarning ? { onWarning } : {}),
      ...(signal ? { signal } : {}),
    });
    const rest = await Promise.allSettled(
      Array.from({ length: workers - 1 }, () => PoolThread.start(start, signal ? { signal } : {})),
    );
    const threads = [first, ...rest.flatMap((thread) => (thread.status === "fulfilled" ? [thread.value] : []))];
    const failed = rest.find((thread) => thread.status === "rejected");
    if (!failed) return new WorkerPool(threads);
    await Promise.all(threads.map((thread) => thread.close()));
    throw failed.reason;
  }

  get name(): string {
    return this.#facts.name;
  }
  get hiddenSize(): number {
    return this.#facts.hiddenSize;
  }
  get numLayers(): number {
    return this.#facts.numLayers;
  }
  get maxTokens(): number {
    return this.#facts.maxTokens;
  }
  get recipe(): Recipe {
    return this.#facts.recipe;
  }
  get recipeId(): string {
    return this.#facts.recipeId;
  }

  get statistics(): RunStatistics {
    const sum = (key: keyof RunStatistics): number =>
      this.#threads.reduce((total, { statistics }) => total + statistics[key], 0);
    return {
      runs: sum("runs"),
      sequences: sum("sequences"),
      tokens: sum("tokens"),
      cells: sum("cells"),
      runtimeMs: sum("runtimeMs"),
    };
  }

  async embed(texts: readonly string[], options: EmbedOptions = {}): Promise<Float32Array[]> {
    const rows: Float32Array[] = [];
    for await (const { embedding } of this.embedStream(texts, options)) rows.push(embedding);
    return rows;
  }

  async *embedStream(
    texts: Iterable<string> | AsyncIterable<string>,
    options: EmbedOptions = {},
  ): AsyncGenerator<StreamedEmbedding, void, undefined> {
    const pending: Promise<StreamedEmbedding[]>[] = [];
    try {
      for await (const { texts: job, start } of jobs(texts)) {
        const results = this.#embedJob(job, start, options);
        results.catch(() => {}); // it is awaited in its turn
        pending.push(results);
        if (pending.length > 2 * this.#threads.length) yield* await pending.shift()!;
      }
      while (pending.length > 0) yield* await pending.shift()!;
    } finally {
      await Promise.allSettled(pending);
    }
  }

  async embedTokens(
    ids: readonly (readonly number[])[],
    { layer = "last", signal }: { readonly layer?: number | "last"; readonly signal?: AbortSignal } = {},
  ): Promise<Float32Array[]> {
    return rowsOf(await this.#leastLoaded().run({ kind: "tokens", ids, layer }, signal));
  }

  async similarity(a: string, b: string, options: EmbedOptions = {}): Promise<number> {
    const [x, y] = await this.embed([a, b], options);
    return cosineSimilarity(x!, y!);
  }

  async embedLayers(): Promise<Float32Array[][]> {
    throw this.#needsOneThread("layers of one pass");
  }

  async explain(): Promise<Word[][]> {
    throw this.#needsOneThread("words of an embedding");
  }

  async withRecipe(): Promise<EmbeddingModel> {
    throw this.#needsOneThread("another recipe on the same weights");
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #embedJob(
    texts: readonly string[],
    start: number,
    { signal, ...options }: EmbedOptions,
  ): Promise<StreamedEmbedding[]> {
    const result = await this.#leastLoaded().run({ kind: "texts", texts, start, options }, signal);
    return rowsOf(result).map((embedding, i) => ({
      index: start + i,
      embedding,
      tokens: result.tokens[i]!,
      truncatedTokens: result.truncatedTokens[i]!,
    }));
  }

  #needsOneThread(what: string): InputError {
    return new InputError("bad-option", `${this.name}: ${what} needs a model in one thread. Load it without workers.`);
  }

  #leastLoaded(): PoolThread {
    if (this.#closed) throw new InputError("closed", `${this.name} is closed; load it again.`);
    return this.#threads.reduce((least, thread) => (thread.load < least.load ? thread : least));
  }
}

/** Rows that belong to the caller one by one. */
const rowsOf = ({ rows, count }: JobResult): Float32Array[] =>
  Array.from({ length: count }, (_, i) => rows.slice((i * rows.length) / count, ((i + 1) * rows.length) / count));

async function* jobs(
  texts: Iterable<string> | AsyncIterable<string>,
): AsyncGenerator<{ readonly texts: readonly string[]; readonly start: number }> {
  let [job, start] = [[] as string[], 0];
  for await (const text of texts) {
    if (job.push(text) < jobTexts) continue;
    yield { texts: job, start };
    start += job.length;
    job = [];
  }
  if (job.length > 0) yield { texts: job, start };
}
