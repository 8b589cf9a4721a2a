/// <reference lib="esnext.disposable" preserve="true" />
import type { Recipe, RecipeOptions } from "../text/recipe.ts";
import type { Word } from "./top-words.ts";

export interface EmbedOptions {
  /** Scale every vector to length 1; the recipe's own setting by default. */
  readonly normalize?: boolean | undefined;
  /** Most tokens of one run of the graph; 1024 by default. */
  readonly batchTokens?: number | undefined;
  /** Shorten a sentence that does not fit, instead of the error "too-long". */
  readonly truncate?: boolean | undefined;
  /** Stops between two runs of the graph with the InputError "aborted". */
  readonly signal?: AbortSignal | undefined;
}

/** For callers inside: which of the input's texts these are. */
export interface NumberedOptions extends EmbedOptions {
  /** Numbers for results and errors; by default their places in the list. */
  readonly indexes?: readonly number[] | undefined;
}

export interface ExplainOptions extends EmbedOptions {
  /** Words of each text; 10 by default. */
  readonly count?: number | undefined;
}

/** One result of a stream, in input order. */
export interface StreamedEmbedding {
  /** Position of the text in the input, from 0. */
  readonly index: number;
  /** [hiddenSize] */
  readonly embedding: Float32Array;
  /** Tokens of the whole prompt. */
  readonly tokens: number;
  /** Tokens cut from the sentence; 0 when it fitted. */
  readonly truncatedTokens: number;
}

/** The words of one text of a stream, in input order. */
export interface StreamedWords {
  /** Position of the text in the input, from 0. */
  readonly index: number;
  readonly text: string;
  readonly words: Word[];
  /** Tokens cut from the sentence; 0 when it fitted. */
  readonly truncatedTokens: number;
}

/** What a model has run since it was loaded. */
export interface RunStatistics {
  /** Runs of the graph. */
  readonly runs: number;
  /** Sequences in them: equal texts of a window count once. */
  readonly sequences: number;
  /** Tokens in them; those of the shared prefix, which ran before, are not among them. */
  readonly tokens: number;
  /** What was computed for them: a beginning that sequences of one run have in common once. */
  readonly computedTokens: number;
  /** Cells of the padded grids of attention, rows × longest. The linear layers have no padding. */
  readonly cells: number;
  /** Time inside the runtime, ms. */
  readonly runtimeMs: number;
}

/** A loaded model: weights, tokenizer and recipe. Get one from `load`, give it back with `close`. */
export interface EmbeddingModel extends AsyncDisposable {
  readonly name: string;
  readonly hiddenSize: number;
  readonly numLayers: number;
  /** Longest prompt in tokens. */
  readonly maxTokens: number;
  readonly recipe: Recipe;
  /** Stable id of the recipe. */
  readonly recipeId: string;
  /** Stable id of how vectors are computed: the graph, the runtime's version, the device. */
  readonly graphId: string;
  readonly statistics: RunStatistics;
  /** @returns one row [hiddenSize] for each text, in order */
  embed(texts: readonly string[], options?: EmbedOptions): Promise<Float32Array[]>;
  /** Embeds a stream in windows of bounded memory; results come in input order. */
  embedStream(
    texts: Iterable<string> | AsyncIterable<string>,
    options?: EmbedOptions,
  ): AsyncGenerator<StreamedEmbedding, void, undefined>;
  /**
   * States of several layers from one pass, [texts][layers][hiddenSize]: averaged over templates and less the template's
   * own as the recipe says, but neither whitened nor scaled.
   * @param layers  ascending
   */
  embedLayers(texts: readonly string[], layers: readonly number[], options?: EmbedOptions): Promise<Float32Array[][]>;
  /**
   * The words that embeddings mean: what the model would say next after each text's prompt, the most probable first. Read
   * in the last layer, whatever the recipe's, and before anything is done to the vector; of several templates their mean.
   * @throws ModelError "weight-missing" for a checkpoint whose output weights are neither tied nor there
   */
  explain(texts: readonly string[], options?: ExplainOptions): Promise<Word[][]>;
  /** The same for a stream, in windows of bounded memory. */
  explainStream(
    texts: Iterable<string> | AsyncIterable<string>,
    options?: ExplainOptions,
  ): AsyncGenerator<StreamedWords, void, undefined>;
  /** The same weights with another recipe; close both. The precision stays. */
  withRecipe(recipe: RecipeOptions): Promise<EmbeddingModel>;
  /** Hidden state of the last token of ready token ids; no template, nothing added. */
  embedTokens(
    ids: readonly (readonly number[])[],
    options?: { readonly layer?: number | "last"; readonly signal?: AbortSignal },
  ): Promise<Float32Array[]>;
  /** Cosine similarity of two texts, in [-1, 1]. */
  similarity(a: string, b: string, options?: EmbedOptions): Promise<number>;
  close(): Promise<void>;
}
