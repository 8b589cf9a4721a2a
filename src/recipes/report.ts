import { lineChart } from "../evaluate/report/charts.ts";
import { colourOf, escapeHtml, htmlPage } from "../evaluate/report/html.ts";
import { signed } from "../evaluate/result-table.ts";
import type { RecipeOptions } from "../text/recipe.ts";
import type { SearchResult } from "./search.ts";

/** One point of the learning curve. */
export interface CurvePoint {
  /** Spent on measurements. */
  readonly seconds: number;
  readonly texts: number;
  /** Of the best recipe so far, on all items of the search's half. */
  readonly score: number;
}

export interface ReportParts {
  readonly model: string;
  readonly data: string;
  readonly kind: "pairs" | "triples";
  readonly items: { readonly search: number; readonly heldOut: number };
  readonly candidates: number;
  readonly curve: readonly CurvePoint[];
  readonly result: SearchResult;
  readonly recipeId: string;
}

/** A page that stands alone: what was found, what it is worth on the half that was not searched on, and how it got there. */
export function searchReport(parts: ReportParts): string {
  const { result, model, data, items, candidates, kind } = parts;
  const measure = kind === "pairs" ? "Spearman × 100" : "% of triples in the right order";
  const body = `<h1>Recipe search</h1>
<p>${escapeHtml(model)} on ${escapeHtml(data)}: ${counted(items.search)} ${kind} to search on, ${counted(items.heldOut)} held out,
${counted(candidates)} demonstrations. ${counted(result.texts)} texts run in ${duration(result.seconds)}${result.endedEarly ? "; the time was up before the end" : ""}.</p>
<table>
<tr><th>${measure}<th class="number">searched half<th class="number">held-out half
<tr><td>plain template<td class="number">${fixed(result.plain)}<td class="number">${fixed(result.heldOut.plain)}
<tr><td><strong>found</strong><td class="number"><strong>${fixed(result.best.score)}</strong><td class="number"><strong>${fixed(result.heldOut.best)}</strong>
<tr><td>gain<td class="number">${signed(result.best.score - result.plain)}<td class="number">${signed(result.heldOut.best - result.heldOut.plain)}
</table>
<p class="faint">The held-out half was scored once, after the search. A much smaller gain there means that the search has learnt its half by heart.</p>
<figure>${learningCurve(parts.curve, measure)}<figcaption>The best so far on the searched half, over the time spent on measurements.</figcaption></figure>
<h2>The recipe</h2>
<p>Id <code>${escapeHtml(parts.recipeId)}</code>; layer ${result.best.setting.layer}, ${directionsText(result.best.setting.directions)}.</p>
<pre>${escapeHtml(JSON.stringify(result.best.recipe, null, 2))}</pre>
<h2>Stages</h2>
<div class="scroll"><table class="pairs">
<tr><th>stage<th>best<th class="number">layer<th class="number">directions<th class="number">score
${result.stages.map(stageRow).join("\n")}
</table></div>`;
  return htmlPage(`Recipe search: ${model}`, body);
}

function stageRow({ stage, recipe, setting, score }: SearchResult["stages"][number]): string {
  const directions = setting.directions ?? "none";
  return `<tr><td>${escapeHtml(stage)}<td>${escapeHtml(promptText(recipe))}<td class="number">${setting.layer}<td class="number">${directions}<td class="number">${fixed(score)}`;
}

function promptText({ template = "eol", demonstrations = [] }: RecipeOptions): string {
  const prompt = typeof template === "string" ? template : `${template.length} templates`;
  const shown = demonstrations.map(({ sentence, word }) => `${sentence} → ${word}`);
  return [prompt, ...shown].join(" · ");
}

const directionsText = (directions: number | null): string =>
  directions === null
    ? "vectors as they are"
    : directions === 0
      ? "mean removed"
      : `mean removed and ${directions} directions evened out`;

/** A line that steps up, over the time spent. */
function learningCurve(curve: readonly CurvePoint[], measure: string): string {
  const points = curve.map(({ seconds, score }) => [seconds, score] as const);
  const line = { points, colour: colourOf(0), isStepped: true };
  return lineChart({ title: measure, lines: [line], xText: duration, yText: fixed });
}

const fixed = (score: number): string => score.toFixed(2);
const counted = (count: number): string => count.toLocaleString("en-US");

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(0)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
