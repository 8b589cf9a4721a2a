import { InputError } from "../errors.ts";
import { graphNames, readDepth } from "../models/build.ts";
import { cleanUp } from "../text/clean-up.ts";
import { promptParts } from "../text/prompt-parts.ts";
import type { Recipe } from "../text/recipe.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { EmbedOptions } from "./embedding-model.ts";
import type { EncoderPool } from "./encoder-pool.ts";
import { PromptRunner } from "./prompt-runner.ts";
import { remembered } from "./remembered.ts";
import type { RunMeter } from "./run-meter.ts";

export interface TextStates {
  /** One for each layer asked for, [hiddenSize] each. */
  readonly states: readonly Float32Array[];
  /** Tokens of all the text's prompts. */
  readonly tokens: number;
  /** Most tokens that one of them lost. */
  readonly truncatedTokens: number;
}

/** Reads what a recipe's prompts leave of a text in some layers; see Recipe for averaging and subtraction. */
export class StateReader {
  readonly #pool: EncoderPool;
  readonly #recipe: Recipe;
  readonly #meter: RunMeter;
  readonly #runners: readonly PromptRunner[];
  readonly #templateStates = new Map<string, Promise<readonly Float32Array[]>>();

  constructor(pool: EncoderPool, tokenizer: Tokenizer, recipe: Recipe, meter: RunMeter) {
    this.#meter = meter;
    const { config } = pool.parts;
    this.#pool = pool;
    this.#recipe = recipe;
    this.#runners = promptParts(recipe).map((parts) => new PromptRunner(tokenizer, parts, recipe, config));
  }

  /**
   * @param indexes  numbers of the texts in the input, for error messages
   * @param layers   ascending; the recipe's own by default. All of them come from one pass
   */
  async read(
    texts: readonly string[],
    indexes: readonly number[],
    options: EmbedOptions,
    layers: readonly number[] = [this.#depth(this.#recipe.layer)],
  ): Promise<TextStates[]> {
    const read = await this.#average(texts, indexes, options, layers);
    const weight = this.#recipe.subtractTemplate ?? 0;
    if (weight !== 0 && texts.length > 0) {
      const own = await this.#ownStates(layers);
      for (const [at, { states }] of read.entries()) {
        const isEmpty = cleanUp(texts[at]!, this.#recipe.cleanUp) === ""; // the template alone, without another run's rounding
        for (const [i, state] of states.entries()) {
          if (isEmpty) state.set(own[i]!);
          addScaled(state, own[i]!, -weight);
        }
      }
    }
    return read;
  }

  async #average(
    texts: readonly string[],
    indexes: readonly number[],
    options: EmbedOptions,
    layers: readonly number[],
  ): Promise<TextStates[]> {
    const { encoder, names } = await this.#encoder(layers);
    let averaged: TextStates[] | undefined;
    for (const runner of this.#runners) {
      const prompts = texts.map((text, i) => runner.encode(text, indexes[i]!, options));
      const rows = await runner.run(encoder, prompts, options, (tree, prefix, places) =>
        this.#meter.time(tree, () => encoder.read(tree, names, prefix, places)),
      );
      const read = prompts.map(({ ids, truncatedTokens }, i) => ({
        states: rows[i]!,
        tokens: ids.length,
        truncatedTokens,
      }));
      averaged = averaged ? averaged.map((sum, i) => addTexts(sum, read[i]!)) : read;
    }
    const count = this.#runners.length;
    for (const { states } of averaged!) if (count > 1) for (const state of states) scale(state, 1 / count);
    return averaged!;
  }

  async #encoder(layers: readonly number[]) {
    const { config } = this.#pool.parts;
    for (const layer of layers) readDepth(layer, config);
    const deepest = layers.at(-1);
    if (deepest === undefined) throw new InputError("bad-option", "layers is empty: name one at least.");
    const ascends = layers.every((layer, i) => i === 0 || layer > layers[i - 1]!);
    if (!ascends)
      throw new InputError("bad-option", `layers ${layers.join(", ")}: each has to be over the one before.`);
    const encoder = await this.#pool.get({ ...this.#recipe, layer: deepest, alsoRead: layers.slice(0, -1) });
    return { encoder, names: [...layers.slice(0, -1).map(graphNames.state), graphNames.embedding] };
  }

  /** What the templates leave of nothing: run once. */
  #ownStates(layers: readonly number[]): Promise<readonly Float32Array[]> {
    const read = () => this.#average([""], [0], {}, layers).then(([own]) => own!.states);
    return remembered(this.#templateStates, layers.join(), read);
  }

  #depth = (layer: number | "last"): number => (layer === "last" ? this.#pool.parts.config.numLayers : layer);
}

function addTexts(sum: TextStates, { states, tokens, truncatedTokens }: TextStates): TextStates {
  for (const [i, state] of sum.states.entries()) addScaled(state, states[i]!, 1);
  return {
    states: sum.states,
    tokens: sum.tokens + tokens,
    truncatedTokens: Math.max(sum.truncatedTokens, truncatedTokens),
  };
}

function addScaled(to: Float32Array, other: Float32Array, factor: number): void {
  for (let i = 0; i < to.length; i++) to[i]! += factor * other[i]!;
}

function scale(vector: Float32Array, factor: number): void {
  for (let i = 0; i < vector.length; i++) vector[i]! *= factor;
}
