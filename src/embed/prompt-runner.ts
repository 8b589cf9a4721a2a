import { ModelError } from "../errors.ts";
import type { DecoderConfig } from "../models/config.ts";
import type { Encoder, PrefixCache, TokenPlaces } from "../runtime/encoder.ts";
import { defaultBatchTokens, runBatches } from "../text/batch.ts";
import { cleanUp } from "../text/clean-up.ts";
import { type EncodedPrompt, encodePrompt, sentenceSpan, sharedPrefix, startsWith } from "../text/prompt.ts";
import type { PromptParts } from "../text/prompt-parts.ts";
import type { Recipe } from "../text/recipe.ts";
import type { TokenSequence, TokenTree } from "../text/token-tree.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { EmbedOptions } from "./embedding-model.ts";
import { poolWeights } from "./pooling.ts";
import { remembered } from "./remembered.ts";

/** A prompt ready to be run. */
export interface PreparedPrompt extends EncodedPrompt {
  readonly pool?: NonNullable<TokenPlaces["pool"]>;
}

/** Runs one batch; its sequences are without the prefix. */
export type RunBatch<T> = (
  tree: TokenTree,
  prefix: PrefixCache | undefined,
  places: readonly TokenPlaces[],
) => Promise<readonly T[]>;

/** Sentences in one template: prompts, the tokens that all of them begin with, and their runs. */
export class PromptRunner {
  readonly #tokenizer: Tokenizer;
  readonly #parts: PromptParts;
  readonly #recipe: Recipe;
  readonly #config: DecoderConfig;
  readonly #prefixes = new Map<Encoder, Promise<PrefixCache>>();
  #shared: readonly number[] | undefined;

  constructor(tokenizer: Tokenizer, parts: PromptParts, recipe: Recipe, config: DecoderConfig) {
    this.#tokenizer = tokenizer;
    this.#parts = parts;
    this.#recipe = recipe;
    this.#config = config;
  }

  /** @throws as encodePrompt, and ModelError "tokenizer" for a token that the model has no row for */
  encode(text: string, index: number, { truncate = false }: EmbedOptions): PreparedPrompt {
    const sentence = cleanUp(text, this.#recipe.cleanUp);
    const options = { maxTokens: this.#config.maxPositions, truncate, index };
    const prompt = encodePrompt(this.#tokenizer, this.#parts, sentence, options);
    this.#checkVocabulary(prompt.ids, index);
    const { pooling = "lastToken" } = this.#recipe;
    if (pooling === "lastToken") return prompt;
    const [start, end] = sentenceSpan(this.#tokenizer, this.#parts, prompt);
    return { ...prompt, pool: { start, weights: poolWeights(pooling, end - start) } };
  }

  /** Some tokenizers know more tokens than their model, and most texts have none of those. */
  #checkVocabulary(ids: readonly number[], index: number): void {
    const { vocabSize, source } = this.#config;
    const bad = ids.find((id) => id >= vocabSize);
    if (bad === undefined) return;
    throw new ModelError(
      "tokenizer",
      `input[${index}]: the tokenizer makes token ${bad} (${JSON.stringify(this.#tokenizer.decode([bad]))}) of it, but the ` +
        `vocabulary of ${source} has 0 to ${vocabSize - 1}. Use the tokenizer that came with the weights.`,
    );
  }

  /** Runs prompts after the kept prefix, and the few whose beginning merged with it whole. One prompt alone needs none. */
  async run<T>(
    encoder: Encoder,
    prompts: readonly PreparedPrompt[],
    options: EmbedOptions,
    runBatch: RunBatch<T>,
  ): Promise<T[]> {
    if (prompts.length === 1 && this.#prefixes.size === 0) return runPrompts(prompts, undefined, options, runBatch);
    this.#shared ??= sharedPrefix(this.#tokenizer, this.#parts);
    const continues = ({ ids, pool }: PreparedPrompt): boolean =>
      startsWith(ids, this.#shared!) && (pool?.start ?? ids.length) >= this.#shared!.length;
    const after = prompts.filter(continues);
    const done = new Map<PreparedPrompt, T>();
    for (const [group, prefix] of [
      [after, after.length > 0 ? await this.#prefix(encoder) : undefined],
      [prompts.filter((prompt) => !continues(prompt)), undefined],
    ] as const) {
      const results = await runPrompts(group, prefix, options, runBatch);
      group.forEach((prompt, i) => {
        done.set(prompt, results[i]!);
      });
    }
    return prompts.map((prompt) => done.get(prompt)!);
  }

  #prefix(encoder: Encoder): Promise<PrefixCache> {
    return remembered(this.#prefixes, encoder, () => encoder.cachePrefix(this.#shared!));
  }
}

/** In batches, the longest first; results in the order of `prompts`. */
function runPrompts<T>(
  prompts: readonly PreparedPrompt[],
  prefix: PrefixCache | undefined,
  { batchTokens = defaultBatchTokens, signal }: EmbedOptions,
  runBatch: RunBatch<T>,
): Promise<T[]> {
  const skip = prefix?.length ?? 0;
  const sequences = prompts.map((prompt) => sequenceOf(prompt, skip));
  return runBatches(sequences, { maxBatchTokens: batchTokens, signal }, ({ indexes, tree }) => {
    const places = indexes.map((i) => placesOf(prompts[i]!, skip));
    return runBatch(tree, prefix, places);
  });
}

/** The placeholder and what comes after it depend on the sequence's end. */
const sequenceOf = ({ ids, placeholder = Number.POSITIVE_INFINITY }: PreparedPrompt, skip: number): TokenSequence => ({
  ids: ids.slice(skip),
  shareable: placeholder - skip,
});

const placesOf = ({ pool, placeholder }: PreparedPrompt, skip: number): TokenPlaces => ({
  ...(pool ? { pool: { ...pool, start: pool.start - skip } } : {}),
  ...(placeholder === undefined ? {} : { placeholder: placeholder - skip }),
});
