import { InputError } from "../errors.ts";
import type { Recipe, RecipeOptions } from "../text/recipe.ts";
import type {
  EmbeddingModel,
  EmbedOptions,
  ExplainOptions,
  RunStatistics,
  StreamedEmbedding,
} from "./embedding-model.ts";
import type { LoadOptions } from "./load.ts";
import { PoolThread } from "./pool-thread.ts";
import { textSimilarity } from "./text-similarity.ts";
import type { Word } from "./top-words.ts";
import type { ModelFacts } from "./worker-protocol.ts";

/** Most texts of one call: few enough that no thread waits long for another at the end. */
const callTexts = 256;

/** The threads of a pool and the views on them that are open. */
interface Shared {
  readonly threads: readonly PoolThread[];
  nextView: number;
  openViews: number;
}

/**
 * A model in several threads, each with its weights and a session of its own: where cores are shared with other work, one
 * session's threads wait for one another, and these do not. Costs the weights' memory once for each.
 */
export class WorkerPool implements EmbeddingModel {
  readonly name: string;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly maxTokens: number;
  readonly recipe: Recipe;
  readonly recipeId: string;
  readonly graphId: string;
  readonly #shared: Shared;
  readonly #view: number;
  #closed = false;

  private constructor(shared: Shared, view: number, facts: ModelFacts) {
    this.#shared = shared;
    this.#view = view;
    this.name = facts.name;
    this.hiddenSize = facts.hiddenSize;
    this.numLayers = facts.numLayers;
    this.maxTokens = facts.maxTokens;
    this.recipe = facts.recipe;
    this.recipeId = facts.recipeId;
    this.graphId = facts.graphId;
    shared.openViews++;
  }

  /** The first thread fetches and prepares what is missing, the others find it there. */
  static async create(
    model: string | undefined,
    { workers: _, signal, onProgress, onWarning, ...options }: LoadOptions,
    workers: number,
  ): Promise<WorkerPool> {
    const data = { model, options: { threads: 1, ...options } };
    const stop = signal ? { signal } : {};
    const told = { ...(onProgress ? { onProgress } : {}), ...(onWarning ? { onWarning } : {}) };
    const first = await PoolThread.start(data, { ...stop, ...told });
    const rest = await Promise.allSettled(Array.from({ length: workers - 1 }, () => PoolThread.start(data, stop)));
    const threads = [first, ...rest.flatMap((thread) => (thread.status === "fulfilled" ? [thread.value] : []))];
    const failed = rest.find((thread) => thread.status === "rejected");
    const pool = new WorkerPool({ threads, nextView: 1, openViews: 0 }, 0, first.facts);
    if (!failed) return pool;
    await pool.close();
    throw failed.reason;
  }

  get statistics(): RunStatistics {
    const { threads } = this.#shared;
    const sum = (key: keyof RunStatistics): number =>
      threads.reduce((total, thread) => total + (thread.statistics(this.#view)?.[key] ?? 0), 0);
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
    { signal, ...options }: EmbedOptions = {},
  ): AsyncGenerator<StreamedEmbedding, void, undefined> {
    const run = (part: Part): Promise<StreamedEmbedding[]> =>
      this.#leastLoaded().call(this.#view, "embedWindow", [part.texts, part.start, options], signal);
    for await (const results of this.#sideBySide(texts, run)) yield* results;
  }

  async embedLayers(
    texts: readonly string[],
    layers: readonly number[],
    { signal, ...options }: EmbedOptions = {},
  ): Promise<Float32Array[][]> {
    const run = (part: Part): Promise<Float32Array[][]> =>
      this.#leastLoaded().call(this.#view, "embedLayers", [part.texts, layers, options], signal);
    return collect(this.#sideBySide(texts, run));
  }

  async explain(texts: readonly string[], { signal, ...options }: ExplainOptions = {}): Promise<Word[][]> {
    const run = (part: Part): Promise<Word[][]> =>
      this.#leastLoaded().call(this.#view, "explain", [part.texts, options], signal);
    return collect(this.#sideBySide(texts, run));
  }

  async embedTokens(
    ids: readonly (readonly number[])[],
    { signal, ...options }: { readonly layer?: number | "last"; readonly signal?: AbortSignal } = {},
  ): Promise<Float32Array[]> {
    return this.#leastLoaded().call(this.#view, "embedTokens", [ids, options], signal);
  }

  async withRecipe(recipe: RecipeOptions): Promise<WorkerPool> {
    this.#checkOpen();
    const view = this.#shared.nextView++;
    const opened = await Promise.allSettled(
      this.#shared.threads.map((thread) => thread.open(view, this.#view, recipe)),
    );
    const failed = opened.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    return new WorkerPool(this.#shared, view, (opened[0] as PromiseFulfilledResult<ModelFacts>).value);
  }

  similarity(a: string, b: string, options: EmbedOptions = {}): Promise<number> {
    return textSimilarity(this, a, b, options);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const thread of this.#shared.threads) thread.close(this.#view);
    this.#shared.openViews--;
    if (this.#shared.openViews === 0) await Promise.all(this.#shared.threads.map(({ ended }) => ended));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Runs parts of the texts on all threads; a few wait for each thread, and results come in order. */
  async *#sideBySide<T>(
    texts: Iterable<string> | AsyncIterable<string>,
    run: (part: Part) => Promise<T>,
  ): AsyncGenerator<T, void, undefined> {
    const pending: Promise<T>[] = [];
    try {
      for await (const part of parts(texts, this.#partTexts(texts))) {
        const result = run(part);
        result.catch(() => {}); // it is awaited in its turn
        pending.push(result);
        if (pending.length > 2 * this.#shared.threads.length) yield await pending.shift()!;
      }
      while (pending.length > 0) yield await pending.shift()!;
    } finally {
      await Promise.allSettled(pending);
    }
  }

  /** A list is shared out evenly where it is short. */
  #partTexts(texts: Iterable<string> | AsyncIterable<string>): number {
    if (!Array.isArray(texts)) return callTexts;
    return Math.min(callTexts, Math.max(1, Math.ceil(texts.length / this.#shared.threads.length)));
  }

  #leastLoaded(): PoolThread {
    this.#checkOpen();
    return this.#shared.threads.reduce((least, thread) => (thread.load < least.load ? thread : least));
  }

  #checkOpen(): void {
    if (this.#closed) throw new InputError("closed", `${this.name} is closed; load it again.`);
  }
}

interface Part {
  readonly texts: readonly string[];
  /** Index of the first. */
  readonly start: number;
}

async function* parts(texts: Iterable<string> | AsyncIterable<string>, size: number): AsyncGenerator<Part> {
  let [part, start] = [[] as string[], 0];
  for await (const text of texts) {
    if (part.push(text) < size) continue;
    yield { texts: part, start };
    start += part.length;
    part = [];
  }
  if (part.length > 0) yield { texts: part, start };
}

async function collect<T>(lists: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const list of lists) all.push(...list);
  return all;
}
