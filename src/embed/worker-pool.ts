import { setMaxListeners } from "node:events";
import { InputError } from "../errors.ts";
import type { Recipe, RecipeOptions } from "../text/recipe.ts";
import type {
  EmbeddingModel,
  EmbedOptions,
  ExplainOptions,
  RunStatistics,
  StreamedEmbedding,
  StreamedWords,
} from "./embedding-model.ts";
import type { LoadOptions } from "./load.ts";
import { PoolThread } from "./pool-thread.ts";
import { textSimilarity } from "./text-similarity.ts";
import { checkList, type Texts, type TextWindow, textWindows, windowTexts } from "./text-windows.ts";
import type { Word } from "./top-words.ts";
import type { ModelFacts } from "./worker-protocol.ts";

/** About the most texts of one call: few enough that no thread waits long for another at the end. */
const callTexts = 256;

/** Texts below which a call is not made smaller to even the threads' work out. */
const smallCallTexts = 64;

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
    const data = { model, options: { ...options, threads: options.threads ?? 1 } };
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
      computedTokens: sum("computedTokens"),
      cells: sum("cells"),
      runtimeMs: sum("runtimeMs"),
    };
  }

  async embed(texts: readonly string[], options: EmbedOptions = {}): Promise<Float32Array[]> {
    checkList(texts);
    const rows: Float32Array[] = [];
    for await (const { embedding } of this.embedStream(texts, options)) rows.push(embedding);
    return rows;
  }

  async *embedStream(
    texts: Texts,
    { signal, ...options }: EmbedOptions = {},
  ): AsyncGenerator<StreamedEmbedding, void, undefined> {
    const run: RunPart<StreamedEmbedding> = (part, indexes, signal) =>
      this.#leastLoaded().call(this.#view, "embedWindow", [part, { ...options, indexes }], signal);
    for await (const results of this.#sideBySide(texts, run, signal)) yield* results;
  }

  async embedLayers(
    texts: readonly string[],
    layers: readonly number[],
    { signal, ...options }: EmbedOptions = {},
  ): Promise<Float32Array[][]> {
    checkList(texts);
    const run: RunPart<Float32Array[]> = (part, indexes, signal) =>
      this.#leastLoaded().call(this.#view, "embedLayers", [part, layers, { ...options, indexes }], signal);
    return collect(this.#sideBySide(texts, run, signal));
  }

  async explain(texts: readonly string[], options: ExplainOptions = {}): Promise<Word[][]> {
    checkList(texts);
    const rows: Word[][] = [];
    for await (const { words } of this.explainStream(texts, options)) rows.push(words);
    return rows;
  }

  async *explainStream(
    texts: Texts,
    { signal, ...options }: ExplainOptions = {},
  ): AsyncGenerator<StreamedWords, void, undefined> {
    const run: RunPart<StreamedWords> = (part, indexes, signal) =>
      this.#leastLoaded().call(this.#view, "explainWindow", [part, { ...options, indexes }], signal);
    for await (const results of this.#sideBySide(texts, run, signal)) yield* results;
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
    if (failed) {
      for (const thread of this.#shared.threads) thread.close(view); // where it was opened
      throw failed.reason;
    }
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

  /** Shares windows of the texts out to all threads; while one is finished the next has begun, and results come in order. */
  async *#sideBySide<T>(
    texts: Texts,
    run: RunPart<T>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly T[], void, undefined> {
    const end = new AbortController();
    const own = following(signal ? [signal, end.signal] : [end.signal]);
    const pending: Promise<readonly T[]>[] = [];
    try {
      for await (const window of textWindows(texts, Math.max(windowTexts, callTexts * this.#threads))) {
        const results = this.#shareOut(window, (part, indexes) => run(part, indexes, own));
        results.catch(() => {}); // it is awaited in its turn
        pending.push(results);
        while (pending.length > Number(window.isFollowed)) yield await pending.shift()!;
      }
    } finally {
      end.abort(); // what nobody waits for any more
      await Promise.allSettled(pending);
    }
  }

  /** Texts that begin alike go to one thread, which computes their beginning once. */
  async #shareOut<T>(
    { texts, indexes }: TextWindow,
    run: (part: readonly string[], indexes: readonly number[]) => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    const order = [...texts.keys()].sort((a, b) => compare(texts[a]!, texts[b]!) || a - b);
    const each = texts.length / this.#threads;
    const rounds = Math.max(Math.ceil(each / callTexts), Math.min(4, Math.floor(each / smallCallTexts)));
    const results = new Array<T>(texts.length);
    const calls = evenParts(order, (place) => texts[place]!.length, this.#threads * rounds).map(async (places) => {
      const part = places.map((place) => texts[place]!);
      const rows = await run(
        part,
        places.map((place) => indexes[place]!),
      );
      for (const [i, place] of places.entries()) results[place] = rows[i]!;
    });
    const failed = (await Promise.allSettled(calls)).find((call) => call.status === "rejected");
    if (failed) throw failed.reason;
    return results;
  }

  get #threads(): number {
    return this.#shared.threads.length;
  }

  #leastLoaded(): PoolThread {
    this.#checkOpen();
    return this.#shared.threads.reduce((least, thread) => (thread.load < least.load ? thread : least));
  }

  #checkOpen(): void {
    if (this.#closed) throw new InputError("closed", `${this.name} is closed; load it again.`);
  }
}

/** @param indexes  numbers of the part's texts in the input */
type RunPart<T> = (part: readonly string[], indexes: readonly number[], signal: AbortSignal) => Promise<readonly T[]>;

/** A signal that many calls may listen to; the caller's own would warn of a leak. */
function following(signals: AbortSignal[]): AbortSignal {
  const own = AbortSignal.any(signals);
  setMaxListeners(0, own);
  return own;
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/** About what a template adds to a sentence, characters. */
const templateLength = 24;

/** Cuts a list into at most `count` parts of about the same total length, none empty. */
function evenParts<T>(list: readonly T[], lengthOf: (item: T) => number, count: number): T[][] {
  const parts = Array.from({ length: count }, (): T[] => []);
  const weights = list.map((item) => templateLength + lengthOf(item));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let before = 0;
  for (const [i, item] of list.entries()) {
    const middle = before + weights[i]! / 2;
    parts[Math.floor((count * middle) / total)]!.push(item);
    before += weights[i]!;
  }
  return parts.filter((part) => part.length > 0);
}

async function collect<T>(lists: AsyncIterable<readonly T[]>): Promise<T[]> {
  const all: T[] = [];
  for await (const list of lists) all.push(...list);
  return all;
}
