import type { EmbeddingModel, EmbedOptions } from "../embed/embedding-model.ts";
import type { Demonstration, Recipe, RecipeOptions } from "../text/recipe.ts";
import { fitRecipe } from "./fit-recipe.ts";
import { halve, planRounds } from "./halving.ts";
import type { Journal } from "./journal.ts";
import { type Halves, textsOf } from "./labelled.ts";
import { Scorer, type Setting } from "./scorer.ts";

export interface SearchOptions {
  /** Prompts to begin with: templates and variants, without demonstrations. */
  readonly prompts: readonly RecipeOptions[];
  readonly demonstrations: readonly Demonstration[];
  /** Most demonstrations in front of the template, 0 to 5. */
  readonly depth: number;
  /** Recipes that are extended by a further demonstration; 1 is greedy. */
  readonly beam: number;
  /** Layers to try, each of them. */
  readonly layers: readonly number[];
  /** What prompts and layers are compared with, before `directions` are tried on the best of them. */
  readonly firstDirections: number | null;
  /** Numbers of principal directions to try; null for none and the mean left in. */
  readonly directions: readonly (number | null)[];
  /** What the mean and the directions of the result are fitted on; the searched half by default. */
  readonly unlabelled?: readonly string[] | undefined;
  /** Ends the search by then, by performance.now(); what is best so far is the result. */
  readonly deadline?: number;
  /** How texts are run, and the signal that stops the search. */
  readonly embed?: EmbedOptions;
  readonly onProgress?: (progress: SearchProgress) => void;
}

export interface SearchProgress {
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  /** Spent on measurements so far, in this run and in those it goes on from. */
  readonly seconds: number;
  readonly texts: number;
  readonly best: ScoredRecipe | null;
}

export interface ScoredRecipe {
  readonly recipe: RecipeOptions;
  readonly setting: Setting;
  /** On all items of the search's half. */
  readonly score: number;
}

export interface SearchResult {
  readonly best: ScoredRecipe;
  /** The best one as a whole, fitted. */
  readonly recipe: Recipe;
  /** Of each stage the best, in order. */
  readonly stages: readonly (ScoredRecipe & { readonly stage: string })[];
  /** The plain template and the result, as it was fitted, on the half that was not searched on. */
  readonly heldOut: { readonly plain: number; readonly best: number };
  /** The plain template on the half that was. */
  readonly plain: number;
  readonly seconds: number;
  readonly texts: number;
  readonly endedEarly: boolean;
}

/** Measurements like that of the plain template that come after the search: two on the other half, and the fit's texts. */
const runsAfterwards = 3;

/**
 * Searches a recipe for a model: first a prompt and a layer, then what to do with the vectors, then demonstrations one
 * after the other by successive halving, then layer and vectors once more. Everything is measured on one half of the
 * labelled texts; the other half is looked at once, at the end.
 */
export async function searchRecipe(
  model: EmbeddingModel,
  halves: Halves,
  journal: Journal,
  options: SearchOptions,
): Promise<SearchResult> {
  const search = new Search(new Scorer(model, halves.search, journal, options.embed), options);
  const plainSetting = { layer: model.numLayers, directions: null };
  const plain = await search.measure("plain template", [{}], [plainSetting]);
  search.reserveTime(runsAfterwards);
  let best = search.better(plain, await search.measure("prompts and layers", options.prompts, search.layerSettings()));
  best = search.better(best, await search.measure("directions", [best.recipe], search.directionSettings(best)));
  best = await search.addDemonstrations(best);
  best = search.better(best, await search.measure("layers again", [best.recipe], search.layerSettings()));
  best = search.better(best, await search.measure("directions again", [best.recipe], search.directionSettings(best)));
  const scorer = new Scorer(model, halves.heldOut, journal, options.embed);
  const [heldOutPlain] = await scorer.score({}, [plainSetting]);
  const texts = options.unlabelled ?? textsOf(halves.search, halves.search.order);
  const recipe = await fitRecipe(model, best, texts, options.embed);
  const heldOut = { plain: heldOutPlain!, best: await scorer.scoreFitted(recipe) };
  return { ...search.summary(best), recipe, plain: plain!.score, heldOut };
}

class Search {
  readonly #scorer: Scorer;
  readonly #options: SearchOptions;
  readonly #stages: (ScoredRecipe & { readonly stage: string })[] = [];
  #best: ScoredRecipe | null = null;
  #endedEarly = false;
  #reservedMs = 0;

  constructor(scorer: Scorer, options: SearchOptions) {
    this.#scorer = scorer;
    this.#options = options;
  }

  layerSettings(): Setting[] {
    const { layers, firstDirections } = this.#options;
    return layers.map((layer) => ({ layer, directions: firstDirections }));
  }

  directionSettings({ setting: { layer } }: ScoredRecipe): Setting[] {
    return this.#options.directions.map((directions) => ({ layer, directions }));
  }

  /** The best of some recipes and settings on all items; null where the time was up before the first. */
  async measure(
    stage: string,
    recipes: readonly RecipeOptions[],
    settings: readonly Setting[],
  ): Promise<ScoredRecipe | null> {
    let best: ScoredRecipe | null = null;
    for (const [i, recipe] of recipes.entries()) {
      if (this.#best && this.#isOver()) break;
      this.#report(stage, i, recipes.length);
      const scores = await this.#scorer.score(recipe, settings);
      scores.forEach((score, place) => {
        if (!best || score > best.score) best = { recipe, setting: settings[place]!, score };
      });
      this.#note(best!);
      this.#scorer.forget();
    }
    if (best) this.#stages.push({ stage, ...(best as ScoredRecipe) });
    return best;
  }

  /** Keeps as much of the time free as the measurements so far would take `times` over. */
  reserveTime(times: number): void {
    this.#reservedMs = 1000 * times * this.#scorer.seconds;
  }

  /** The better of two; a later one must win, so that what does not help is left out. */
  better(a: ScoredRecipe | null, b: ScoredRecipe | null): ScoredRecipe {
    return a && b ? (b.score > a.score ? b : a) : (a ?? b)!;
  }

  /** Puts demonstrations in front as long as each one helps. */
  async addDemonstrations(start: ScoredRecipe): Promise<ScoredRecipe> {
    let best = start;
    let beam: readonly ScoredRecipe[] = [start];
    for (let depth = 1; depth <= this.#options.depth && !this.#isOver(); depth++) {
      beam = await this.#extend(beam, depth);
      const [first] = beam;
      if (!first || first.score <= best.score) break;
      best = first;
      this.#stages.push({ stage: `${depth} demonstration${depth > 1 ? "s" : ""}`, ...best });
    }
    return best;
  }

  /** The best few of all recipes with one demonstration more, those that came to the last round. */
  async #extend(beam: readonly ScoredRecipe[], depth: number): Promise<ScoredRecipe[]> {
    const candidates = beam.flatMap(({ recipe, setting }) =>
      this.#options.demonstrations
        .filter((demonstration) => !recipe.demonstrations?.includes(demonstration))
        .map((demonstration) => ({
          recipe: { ...recipe, demonstrations: [...(recipe.demonstrations ?? []), demonstration] },
          setting,
        })),
    );
    const rounds = planRounds(candidates.length, this.#scorer.items);
    const total = rounds.reduce((sum, _, i) => sum + (i === 0 ? candidates.length : rounds[i - 1]!.survivors), 0);
    let done = 0;
    const score = async ({ recipe, setting }: (typeof candidates)[number], items: number): Promise<number> => {
      this.#report(`demonstration ${depth}, ${items} items`, done++, total);
      const [value] = await this.#scorer.score(recipe, [setting], items);
      if (items === this.#scorer.items) this.#note({ recipe, setting, score: value! });
      return value!;
    };
    const results = await halve(candidates, rounds, score, () => this.#isOver());
    this.#scorer.forget();
    return results
      .filter(({ items }) => items === this.#scorer.items)
      .slice(0, this.#options.beam)
      .map(({ candidate, score: value }) => ({ ...candidate, score: value }));
  }

  summary(best: ScoredRecipe): Pick<SearchResult, "best" | "stages" | "seconds" | "texts" | "endedEarly"> {
    const { seconds, texts } = this.#scorer;
    return { best, stages: this.#stages, seconds, texts, endedEarly: this.#endedEarly };
  }

  #note(scored: ScoredRecipe): void {
    if (!this.#best || scored.score > this.#best.score) this.#best = scored;
  }

  #report(stage: string, done: number, total: number): void {
    this.#options.embed?.signal?.throwIfAborted();
    const { seconds, texts } = this.#scorer;
    this.#options.onProgress?.({ stage, done, total, seconds, texts, best: this.#best });
  }

  #isOver(): boolean {
    const isOver = performance.now() + this.#reservedMs > (this.#options.deadline ?? Number.POSITIVE_INFINITY);
    this.#endedEarly ||= isOver;
    return isOver;
  }
}
