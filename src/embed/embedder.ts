/// <reference lib="esnext.disposable" preserve="true" />
import { InputError, InternalError } from "../errors.ts";
import { buildNextTokenGraph } from "../models/build-next-token.ts";
import type { Encoder } from "../runtime/encoder.ts";
import { nextTokenScores } from "../runtime/next-token.ts";
import { defaultBatchTokens, runBatches, uniqueIndex } from "../text/batch.ts";
import { completeRecipe } from "../text/complete-recipe.ts";
import { type Recipe, type RecipeOptions, recipeId } from "../text/recipe.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { checkCount } from "./check-count.ts";
import type {
  EmbeddingModel,
  EmbedOptions,
  ExplainOptions,
  NumberedOptions,
  RunStatistics,
  StreamedEmbedding,
  StreamedWords,
} from "./embedding-model.ts";
import { EncoderPool, type ModelParts } from "./encoder-pool.ts";
import { scaleToUnit } from "./pooling.ts";
import { RunMeter } from "./run-meter.ts";
import { StateReader, type TextStates } from "./state-reader.ts";
import { textSimilarity } from "./text-similarity.ts";
import { checkList, type Texts, textWindows, windowTexts } from "./text-windows.ts";
import { topTokens, type Word } from "./top-words.ts";
import { readWhitening, type Whiten } from "./whitening.ts";

interface EmbedderParts {
  readonly name: string;
  readonly recipe: Recipe;
  readonly pool: EncoderPool;
  readonly tokenizer: Tokenizer;
}

/** The tokenizer is made while the runtime, on a thread of its own, prepares the graph. */
interface CreateParts extends ModelParts {
  readonly name: string;
  readonly recipe: Recipe;
  readonly openTokenizer: () => Promise<Tokenizer>;
}

/** Texts that are explained together: each holds a score for every token of the vocabulary. */
const explainedTexts = 64;

/** The main path: text, prompt, tokens, batches, graph, vectors. */
export class Embedder implements EmbeddingModel {
  readonly name: string;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly maxTokens: number;
  readonly recipe: Recipe;
  readonly recipeId: string;
  readonly #pool: EncoderPool;
  readonly #tokenizer: Tokenizer;
  readonly #meter = new RunMeter();
  readonly #reader: StateReader;
  readonly #whiten: Whiten | null;
  readonly #encoder: Encoder;
  #closed = false;

  private constructor({ name, recipe, pool, tokenizer }: EmbedderParts, encoder: Encoder) {
    this.#pool = pool;
    this.#tokenizer = tokenizer;
    this.name = name;
    this.hiddenSize = encoder.width;
    this.#encoder = encoder;
    this.numLayers = pool.parts.config.numLayers;
    this.maxTokens = pool.parts.config.maxPositions;
    this.recipe = recipe;
    this.recipeId = recipeId(recipe);
    this.#reader = new StateReader(pool, tokenizer, recipe, this.#meter);
    this.#whiten = recipe.whitening ? readWhitening(recipe.whitening, encoder.width) : null;
  }

  static async create({ name, recipe, openTokenizer, ...parts }: CreateParts): Promise<Embedder> {
    const pool = new EncoderPool(parts);
    const [made, tokenizer] = await Promise.allSettled([pool.get(recipe), openTokenizer()]);
    if (made.status === "rejected") throw made.reason;
    try {
      if (tokenizer.status === "rejected") throw tokenizer.reason;
      return new Embedder({ name, recipe, pool, tokenizer: tokenizer.value }, made.value);
    } catch (error) {
      await pool.release();
      throw error;
    }
  }

  async withRecipe(options: RecipeOptions): Promise<Embedder> {
    this.#checkOpen();
    const { model, precision } = this.recipe;
    const { adapter = this.recipe.adapter } = options;
    const recipe = completeRecipe({ ...options, adapter }, { model, precision });
    const encoder = await this.#pool.get(recipe);
    return new Embedder({ name: this.name, recipe, pool: this.#pool.hold(), tokenizer: this.#tokenizer }, encoder);
  }

  get graphId(): string {
    return this.#encoder.graphId;
  }

  get statistics(): RunStatistics {
    return this.#meter.statistics;
  }

  async embed(texts: readonly string[], options: EmbedOptions = {}): Promise<Float32Array[]> {
    const results = await this.embedWindow(texts, options);
    return results.map(({ embedding }) => embedding);
  }

  async *embedStream(texts: Texts, options: EmbedOptions = {}): AsyncGenerator<StreamedEmbedding, void, undefined> {
    for await (const { texts: window, indexes } of textWindows(texts, windowTexts)) {
      yield* await this.embedWindow(window, { ...options, indexes });
    }
  }

  async embedLayers(
    texts: readonly string[],
    layers: readonly number[],
    options: NumberedOptions = {},
  ): Promise<Float32Array[][]> {
    const rows = await this.#read(texts, options, layers);
    return rows.map(({ states }) => states.map((state) => state.slice()));
  }

  async explain(texts: readonly string[], options: ExplainOptions = {}): Promise<Word[][]> {
    const results = await this.explainWindow(texts, options);
    return results.map(({ words }) => words);
  }

  async *explainStream(texts: Texts, options: ExplainOptions = {}): AsyncGenerator<StreamedWords, void, undefined> {
    for await (const { texts: window, indexes } of textWindows(texts, explainedTexts)) {
      yield* await this.explainWindow(window, { ...options, indexes });
    }
  }

  async embedTokens(
    ids: readonly (readonly number[])[],
    options: { readonly layer?: number | "last"; readonly signal?: AbortSignal } = {},
  ): Promise<Float32Array[]> {
    this.#checkOpen();
    for (const [i, sequence] of ids.entries()) this.#checkIds(sequence, i);
    const encoder = await this.#pool.get({ layer: options.layer ?? "last", adapter: this.recipe.adapter });
    const sequences = ids.map((sequence) => ({ ids: sequence }));
    const plan = { maxBatchTokens: defaultBatchTokens, signal: options.signal };
    return this.#whileOpen(runBatches(sequences, plan, ({ tree }) => this.#meter.time(tree, () => encoder.run(tree))));
  }

  similarity(a: string, b: string, options: EmbedOptions = {}): Promise<number> {
    return textSimilarity(this, a, b, options);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#pool.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Texts of one window: sorted, batched, equal ones run once, and back in their order. */
  async embedWindow(texts: readonly string[], options: NumberedOptions): Promise<StreamedEmbedding[]> {
    const rows = await this.#read(texts, options);
    const states = new Set(rows.map((row) => row.states[0]!));
    for (const state of states) this.#whiten?.(state);
    if (options.normalize ?? this.recipe.normalize) for (const state of states) scaleToUnit(state);
    return rows.map(({ states: [state], tokens, truncatedTokens }, i) => {
      const embedding = states.delete(state!) ? state! : state!.slice(); // every row belongs to the caller alone
      return { index: options.indexes?.[i] ?? i, embedding, tokens, truncatedTokens };
    });
  }

  /** The same for the words of texts. */
  async explainWindow(
    texts: readonly string[],
    { count = 10, ...options }: ExplainOptions & NumberedOptions,
  ): Promise<StreamedWords[]> {
    checkCount("count", count);
    const { whitening: _, subtractTemplate: __, ...recipe } = this.recipe;
    await using view = await this.withRecipe({ ...recipe, layer: "last" });
    const rows = await view.#read(texts, options);
    const { architecture, config, checkpoint, session } = this.#pool.parts;
    const graph = buildNextTokenGraph(architecture, config, checkpoint, view.hiddenSize);
    const states = rows.map((row) => row.states[0]!);
    const scores = await nextTokenScores(graph, states, session);
    return rows.map(({ truncatedTokens }, i) => {
      const words = topTokens(scores[i]!, count).map((token) => ({
        text: this.#tokenizer.decode([token.id]),
        ...token,
      }));
      return { index: options.indexes?.[i] ?? i, text: texts[i]!, words, truncatedTokens };
    });
  }

  /** What is left of each text; equal ones are run once and share it. */
  async #read(
    texts: readonly string[],
    { indexes, ...options }: NumberedOptions,
    layers?: readonly number[],
  ): Promise<TextStates[]> {
    this.#checkOpen();
    checkCount("batchTokens", options.batchTokens);
    checkList(texts, indexes);
    const { unique, of } = uniqueIndex(texts);
    const distinct = unique.map((i) => texts[i]!);
    const numbers = unique.map((i) => indexes?.[i] ?? i);
    const rows = await this.#whileOpen(this.#reader.read(distinct, numbers, options, layers));
    return of.map((row) => rows[row]!);
  }

  /** @throws InputError "closed" for what failed since the model was closed meanwhile */
  #whileOpen<T>(work: Promise<T>): Promise<T> {
    return work.catch((error: unknown) => {
      if (error instanceof InternalError) this.#checkOpen();
      throw error;
    });
  }

  #checkOpen(): void {
    if (this.#closed) throw new InputError("closed", `${this.name} is closed; load it again.`);
  }

  #checkIds(sequence: readonly number[], i: number): void {
    if (sequence.length === 0)
      throw new InputError("empty-text", `ids[${i}] is empty: there is no last token to read.`);
    if (sequence.length > this.maxTokens) {
      throw new InputError("too-long", `ids[${i}]: ${sequence.length} tokens, ${this.maxTokens} fit.`);
    }
    const { vocabSize } = this.#pool.parts.config;
    const bad = sequence.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (bad >= 0) {
      throw new InputError(
        "token-out-of-range",
        `ids[${i}][${bad}] is ${sequence[bad]}; the vocabulary has 0 to ${vocabSize - 1}.`,
      );
    }
  }
}
