import { InputError } from "../errors.ts";
import type { Architecture } from "../models/architecture.ts";
import { buildInferenceGraph } from "../models/build.ts";
import type { DecoderConfig } from "../models/config.ts";
import type { Checkpoint } from "../models/weights.ts";
import { Encoder, type PrefixCache } from "../runtime/encoder.ts";
import type { SessionOptions } from "../runtime/session.ts";
import { defaultBatchTokens, planBatches, uniqueIndex } from "../text/batch.ts";
import { cleanUp } from "../text/clean-up.ts";
import { type EncodedPrompt, encodePrompt, sharedPrefix, startsWith } from "../text/prompt.ts";
import { promptParts, type Recipe, recipeId } from "../text/recipe.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { EmbeddingModel, EmbedOptions, RunStatistics, StreamedEmbedding } from "./embedding-model.ts";
import { cosineSimilarity, scaleToUnit } from "./pooling.ts";

/** Texts that a stream collects before it sorts and runs them: bounds its memory. */
const windowTexts = 2048;

export interface EmbedderParts {
  readonly name: string;
  readonly architecture: Architecture;
  readonly config: DecoderConfig;
  readonly checkpoint: Checkpoint;
  readonly recipe: Recipe;
  readonly session: SessionOptions;
}

/** The tokenizer is made while the runtime, on a thread of its own, prepares the graph. */
interface CreateParts extends EmbedderParts {
  readonly openTokenizer: () => Promise<Tokenizer>;
}

/** The main path: text, prompt, tokens, batches, graph, vectors. */
export class Embedder implements EmbeddingModel {
  readonly name: string;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly maxTokens: number;
  readonly recipe: Recipe;
  readonly recipeId: string;
  readonly #parts: EmbedderParts;
  readonly #tokenizer: Tokenizer;
  readonly #encoders = new Map<number, Promise<Encoder>>();
  readonly #promptParts: { readonly prefix: string; readonly suffix: string };
  #prefix: { readonly ids: readonly number[]; readonly cache: PrefixCache } | null = null;
  #statistics: RunStatistics = { runs: 0, sequences: 0, tokens: 0, cells: 0, runtimeMs: 0 };
  #closed = false;

  private constructor(parts: EmbedderParts, tokenizer: Tokenizer, hiddenSize: number) {
    this.#parts = parts;
    this.#tokenizer = tokenizer;
    this.name = parts.name;
    this.hiddenSize = hiddenSize;
    this.numLayers = parts.config.numLayers;
    this.maxTokens = parts.config.maxPositions;
    this.recipe = parts.recipe;
    this.recipeId = recipeId(parts.recipe);
    this.#promptParts = promptParts(parts.recipe);
  }

  static async create(parts: CreateParts): Promise<Embedder> {
    const graph = buildInferenceGraph(parts.architecture, parts.config, parts.checkpoint, parts.recipe.layer);
    const encoder = Encoder.create(graph, parts.session);
    const [made, tokenizer] = await Promise.allSettled([encoder, parts.openTokenizer()]);
    if (made.status === "rejected") throw made.reason;
    if (tokenizer.status === "rejected") {
      await made.value.close();
      throw tokenizer.reason;
    }
    const embedder = new Embedder(parts, tokenizer.value, Number(graph.graph.outputs.at(-1)?.shape[1]));
    embedder.#encoders.set(embedder.#depth(parts.recipe.layer), encoder);
    return embedder;
  }

  get statistics(): RunStatistics {
    return this.#statistics;
  }

  async embed(texts: readonly string[], options: EmbedOptions = {}): Promise<Float32Array[]> {
    const results = await this.#embedWindow(texts, 0, options);
    return results.map(({ embedding }) => embedding);
  }

  async *embedStream(
    texts: Iterable<string> | AsyncIterable<string>,
    options: EmbedOptions = {},
  ): AsyncGenerator<StreamedEmbedding, void, undefined> {
    let window: string[] = [];
    let done = 0;
    for await (const text of texts) {
      window.push(text);
      if (window.length < windowTexts) continue;
      yield* await this.#embedWindow(window, done, options);
      done += window.length;
      window = [];
    }
    if (window.length > 0) yield* await this.#embedWindow(window, done, options);
  }

  async embedTokens(
    ids: readonly (readonly number[])[],
    options: { readonly layer?: number | "last"; readonly signal?: AbortSignal } = {},
  ): Promise<Float32Array[]> {
    for (const [i, sequence] of ids.entries()) this.#checkIds(sequence, i);
    const encoder = await this.#encoder(options.layer ?? "last");
    return this.#run(encoder, ids, undefined, defaultBatchTokens, options.signal);
  }

  async similarity(a: string, b: string, options: EmbedOptions = {}): Promise<number> {
    const [x, y] = await this.embed([a, b], options);
    return cosineSimilarity(x!, y!);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const encoder of this.#encoders.values()) await (await encoder).close();
    this.#encoders.clear();
    this.#prefix = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Texts of one window: sorted, batched, equal ones run once, and back in their order. */
  async #embedWindow(texts: readonly string[], start: number, options: EmbedOptions): Promise<StreamedEmbedding[]> {
    checkBatchTokens(options.batchTokens);
    const encoder = await this.#encoder(this.recipe.layer);
    const { unique, of } = uniqueIndex(texts);
    const prompts = unique.map((i) => this.#encode(texts[i]!, start + i, options));
    const states = await this.#runPrompts(encoder, prompts, options);
    if (options.normalize ?? this.recipe.normalize) for (const state of states) scaleToUnit(state);
    const taken = new Set<number>();
    return Array.from(of, (row, i) => {
      const { ids, truncatedTokens } = prompts[row]!;
      const embedding = taken.has(row) ? states[row]!.slice() : states[row]!; // every row belongs to the caller alone
      taken.add(row);
      return { index: start + i, embedding, tokens: ids.length, truncatedTokens };
    });
  }

  #encode(text: string, index: number, options: EmbedOptions): EncodedPrompt {
    return encodePrompt(this.#tokenizer, this.#promptParts, cleanUp(text, this.recipe.cleanUp), {
      maxTokens: this.maxTokens,
      truncate: options.truncate ?? false,
      index,
    });
  }

  /** Runs prompts after the kept prefix, and the few whose beginning merged with it whole. One prompt alone needs none. */
  async #runPrompts(
    encoder: Encoder,
    prompts: readonly EncodedPrompt[],
    options: EmbedOptions,
  ): Promise<Float32Array[]> {
    const maxBatchTokens = options.batchTokens ?? defaultBatchTokens;
    const isAlone = prompts.length === 1 && !this.#prefix;
    if (isAlone) return this.#run(encoder, [prompts[0]!.ids], undefined, maxBatchTokens, options.signal);
    const prefix = await this.#cachedPrefix(encoder);
    const states = new Array<Float32Array>(prompts.length);
    const rows = prompts.map((_, i) => i);
    const continues = (i: number): boolean => startsWith(prompts[i]!.ids, prefix.ids);
    for (const [group, cache] of [
      [rows.filter(continues), prefix.cache],
      [rows.filter((i) => !continues(i)), undefined],
    ] as const) {
      const ids = group.map((i) => prompts[i]!.ids.slice(cache?.length ?? 0));
      const done = await this.#run(encoder, ids, cache, maxBatchTokens, options.signal);
      group.forEach((i, place) => {
        states[i] = done[place]!;
      });
    }
    return states;
  }

  async #run(
    encoder: Encoder,
    ids: readonly (readonly number[])[],
    prefix: PrefixCache | undefined,
    maxBatchTokens: number,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array[]> {
    const states = new Array<Float32Array>(ids.length);
    const lengths = ids.map((sequence) => sequence.length);
    for (const batch of planBatches(lengths, { maxBatchTokens })) {
      if (signal?.aborted) throw new InputError("aborted", "stopped by the caller's signal.", { cause: signal.reason });
      const rows = await this.#timedRun(
        encoder,
        batch.map((i) => ids[i]!),
        prefix,
      );
      batch.forEach((i, row) => {
        states[i] = rows[row]!;
      });
    }
    return states;
  }

  async #timedRun(
    encoder: Encoder,
    sequences: readonly (readonly number[])[],
    prefix: PrefixCache | undefined,
  ): Promise<Float32Array[]> {
    const start = performance.now();
    const rows = await encoder.run(sequences, prefix);
    const { runs, sequences: before, tokens, cells, runtimeMs } = this.#statistics;
    const lengths = sequences.map(({ length }) => length);
    this.#statistics = {
      runs: runs + 1,
      sequences: before + sequences.length,
      tokens: tokens + lengths.reduce((sum, length) => sum + length, 0),
      cells: cells + sequences.length * Math.max(...lengths),
      runtimeMs: runtimeMs + performance.now() - start,
    };
    return rows;
  }

  async #cachedPrefix(encoder: Encoder): Promise<{ readonly ids: readonly number[]; readonly cache: PrefixCache }> {
    if (!this.#prefix) {
      const ids = sharedPrefix(this.#tokenizer, this.#promptParts);
      this.#prefix = { ids, cache: await encoder.cachePrefix(ids) };
    }
    return this.#prefix;
  }

  #encoder(layer: number | "last"): Promise<Encoder> {
    if (this.#closed) throw new InputError("closed", `${this.name} is closed; load it again.`);
    const depth = this.#depth(layer);
    let encoder = this.#encoders.get(depth);
    if (!encoder) {
      const { architecture, config, checkpoint, session } = this.#parts;
      const graph = buildInferenceGraph(architecture, config, checkpoint, layer);
      encoder = Encoder.create(graph, session);
      this.#encoders.set(depth, encoder);
    }
    return encoder;
  }

  #depth = (layer: number | "last"): number => (layer === "last" ? this.#parts.config.numLayers : layer);

  #checkIds(sequence: readonly number[], i: number): void {
    if (sequence.length === 0)
      throw new InputError("empty-text", `ids[${i}] is empty: there is no last token to read.`);
    if (sequence.length > this.maxTokens) {
      throw new InputError("too-long", `ids[${i}]: ${sequence.length} tokens, ${this.maxTokens} fit.`);
    }
    const { vocabSize } = this.#parts.config;
    const bad = sequence.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
    if (bad >= 0) {
      throw new InputError(
        "token-out-of-range",
        `ids[${i}][${bad}] is ${sequence[bad]}; the vocabulary has 0 to ${vocabSize - 1}.`,
      );
    }
  }
}

function checkBatchTokens(batchTokens: number | undefined): void {
  if (batchTokens === undefined || (Number.isInteger(batchTokens) && batchTokens > 0)) return;
  throw new InputError("bad-option", `batchTokens is ${batchTokens}; it must be a whole number over 0.`);
}
