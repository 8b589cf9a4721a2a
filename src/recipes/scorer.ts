import { createHash } from "node:crypto";
import type { EmbeddingModel, EmbedOptions } from "../embed/embedding-model.ts";
import { readWhitening } from "../embed/whitening.ts";
import type { Recipe, RecipeOptions } from "../text/recipe.ts";
import { fitWhitening, mostDirections } from "./fit-whitening.ts";
import type { Journal } from "./journal.ts";
import { type Labelled, textsOf } from "./labelled.ts";

/** What is done with the states that a prompt leaves, as a recipe's fields of these names; the run of the model is the same. */
export interface Setting {
  readonly layer: number;
  /** Principal directions to even out, 0 to take only the mean away, null for neither. */
  readonly directions: number | null;
}

/** Scores of some settings, and the texts that were run for them. */
interface Measurement {
  readonly scores: readonly number[];
  readonly texts: number;
}

type States = ReadonlyMap<string, readonly Float32Array[]>;

/**
 * Scores recipes on labelled texts with the model's adapter, remembering what it measured, and in memory the states of
 * candidates still in play. Directions are fitted on the scored texts themselves, without labels.
 */
export class Scorer {
  readonly #model: EmbeddingModel;
  readonly #labelled: Labelled;
  readonly #journal: Journal;
  readonly #embed: EmbedOptions;
  readonly #fingerprint: string;
  readonly #states = new Map<string, { readonly layers: string; readonly of: Map<string, readonly Float32Array[]> }>();
  seconds = 0;
  texts = 0;

  constructor(model: EmbeddingModel, labelled: Labelled, journal: Journal, embed: EmbedOptions = {}) {
    this.#embed = embed;
    this.#model = model;
    this.#labelled = labelled;
    this.#journal = journal;
    const { kind, items, labels, order } = labelled;
    const { model: weights, precision, adapter } = model.recipe;
    this.#fingerprint = digest([
      weights,
      precision,
      kind,
      items,
      labels,
      order,
      ...(adapter === null ? [] : [adapter]),
    ]);
  }

  get items(): number {
    return this.#labelled.order.length;
  }

  /** Scores of a recipe on the first items, one for each setting; all layers come from one pass. */
  async score(recipe: RecipeOptions, settings: readonly Setting[], items = this.items): Promise<readonly number[]> {
    const key = digest([this.#fingerprint, recipe, settings, items]);
    return this.#remembered(key, () => this.#measure(recipe, settings, items));
  }

  /** Score of a whole recipe on all items, its whitening included as it is. */
  async scoreFitted(recipe: Recipe): Promise<number> {
    const [score] = await this.#remembered(digest([this.#fingerprint, "fitted", recipe]), async () => {
      const { order } = this.#labelled;
      const texts = textsOf(this.#labelled, order);
      await using view = await this.#model.withRecipe(recipe);
      const rows = await view.embed(texts, this.#embed);
      const vectors = new Map(texts.map((text, i) => [text, rows[i]!]));
      return { scores: [this.#labelled.score(order, (text) => vectors.get(text)!)], texts: texts.length };
    });
    return score!;
  }

  async #remembered(key: string, measure: () => Promise<Measurement>): Promise<readonly number[]> {
    let entry = this.#journal.find(key);
    if (!entry) {
      const startedAt = performance.now();
      const measurement = await measure();
      entry = { key, ...measurement, seconds: (performance.now() - startedAt) / 1000 };
      await this.#journal.add(entry);
    }
    this.seconds += entry.seconds;
    this.texts += entry.texts;
    return entry.scores;
  }

  /** Lets go of the states of all candidates. */
  forget(): void {
    this.#states.clear();
  }

  async #measure(recipe: RecipeOptions, settings: readonly Setting[], items: number): Promise<Measurement> {
    const indexes = this.#labelled.order.slice(0, items);
    const layers = [...new Set(settings.map(({ layer }) => layer))].sort((a, b) => a - b);
    const { states, texts } = await this.#read(recipe, layers, textsOf(this.#labelled, indexes));
    const scores = settings.map(({ layer, directions }) => {
      const vectors = whitened(states, layers.indexOf(layer), textsOf(this.#labelled, indexes), directions);
      return this.#labelled.score(indexes, (text) => vectors.get(text)!);
    });
    return { scores, texts };
  }

  async #read(
    recipe: RecipeOptions,
    layers: readonly number[],
    texts: readonly string[],
  ): Promise<{ readonly states: States; readonly texts: number }> {
    const key = digest(recipe);
    const known = this.#states.get(key);
    const of = known?.layers === layers.join() ? known.of : new Map<string, readonly Float32Array[]>();
    const missing = texts.filter((text) => !of.has(text));
    if (missing.length > 0) {
      await using view = await this.#model.withRecipe({ ...recipe, layer: layers.at(-1)! });
      const rows = await view.embedLayers(missing, layers, this.#embed);
      missing.forEach((text, i) => {
        of.set(text, rows[i]!);
      });
    }
    this.#states.set(key, { layers: layers.join(), of });
    return { states: of, texts: missing.length };
  }
}

function whitened(
  states: States,
  layer: number,
  texts: readonly string[],
  directions: number | null,
): ReadonlyMap<string, Float32Array> {
  const vectors = new Map(texts.map((text) => [text, states.get(text)![layer]!.slice()]));
  if (directions === null) return vectors;
  const all = [...vectors.values()];
  const whitening = fitWhitening(all, Math.min(directions, mostDirections(all.length)));
  const whiten = readWhitening(whitening, all[0]!.length);
  for (const vector of all) whiten(vector);
  return vectors;
}

const digest = (value: unknown): string =>
  createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 24);
