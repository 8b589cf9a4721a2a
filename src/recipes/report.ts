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
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Recipe search: ${escapeHtml(model)}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c; background: #fff; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: 0.3rem 0.6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; } pre { background: #f4f4f4; padding: 0.8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll, figure { overflow-x: auto; } figure { margin: 1.5rem 0; } svg { display: block; } h1, p { overflow-wrap: anywhere; } figcaption, .note { color: #555; font-size: 0.9rem; }
</style>
<h1>Recipe search</h1>
<p>${escapeHtml(model)} on ${escapeHtml(data)}: ${counted(items.search)} ${kind} to search on, ${counted(items.heldOut)} held out,
${counted(candidates)} demonstrations. ${counted(result.texts)} texts run in ${duration(result.seconds)}${result.endedEarly ? "; the time was up before the end" : ""}.</p>
<table>
<tr><th>${measure}<th class="number">searched half<th class="number">held-out half
<tr><td>plain template<td class="number">${fixed(result.plain)}<td class="number">${fixed(result.heldOut.plain)}
<tr><td><strong>found</strong><td class="number"><strong>${fixed(result.best.score)}</strong><td class="number"><strong>${fixed(result.heldOut.best)}</strong>
<tr><td>gain<td class="number">${signed(result.best.score - result.plain)}<td class="number">${signed(result.heldOut.best - result.heldOut.plain)}
</table>
<p class="note">The held-out half was scored once, after the search. A much smaller gain there means that the search has learnt its half by heart.</p>
<figure>${curveSvg(parts.curve, measure)}<figcaption>The best so far on the searched half, over the time spent on measurements.</figcaption></figure>
<h2>The recipe</h2>
<p>Id <code>${escapeHtml(parts.recipeId)}</code>; layer ${result.best.setting.layer}, ${directionsText(result.best.setting.directions)}.</p>
<pre>${escapeHtml(JSON.stringify(result.best.recipe, null, 2))}</pre>
<h2>Stages</h2>
<div class="scroll"><table>
<tr><th>stage<th>best<th class="number">layer<th class="number">directions<th class="number">score
${result.stages.map(stageRow).join("\n")}
</table></div>
</html>
`;
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

/** A line that steps up; axes in minutes and points. */
function curveSvg(curve: readonly CurvePoint[], measure: string): string {
  const [width, height, left, bottom, top] = [760, 280, 56, 36, 12];
  const last = curve.at(-1);
  if (!last) return "<p>Nothing was measured.</p>";
  const minutes = Math.max(last.seconds / 60, 1e-6);
  const scores = curve.map(({ score }) => score);
  const low = Math.floor(Math.min(...scores) - 0.5);
  const high = Math.ceil(Math.max(...scores) + 0.5);
  const x = (seconds: number): number => left + ((seconds / 60) * (width - left - 12)) / minutes;
  const y = (score: number): number => top + ((high - score) * (height - top - bottom)) / (high - low);
  const path = curve
    .map(
      ({ seconds, score }, i) =>
        `${i === 0 ? "M" : "H"}${x(seconds).toFixed(1)}${i === 0 ? ` ${y(score).toFixed(1)}` : `V${y(score).toFixed(1)}`}`,
    )
    .join("");
  const marks = Array.from({ length: 5 }, (_, i) => low + ((high - low) * i) / 4);
  return `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Learning curve: ${fixed(scores[0]!)} to ${fixed(scores.at(-1)!)}" font-size="12" fill="#555">
${marks.map((mark) => `<line x1="${left}" x2="${width - 12}" y1="${y(mark).toFixed(1)}" y2="${y(mark).toFixed(1)}" stroke="#e4e4e4"/><text x="${left - 8}" y="${(y(mark) + 4).toFixed(1)}" text-anchor="end">${mark.toFixed(1)}</text>`).join("\n")}
<path d="${path}" fill="none" stroke="#1b6ac9" stroke-width="2"/>
${[0, 0.5, 1].map((part) => `<text x="${x(part * last.seconds).toFixed(1)}" y="${height - 14}" text-anchor="${part === 1 ? "end" : "middle"}">${duration(part * last.seconds)}</text>`).join("\n")}
<text x="${left}" y="${height - 1}">${escapeHtml(measure)} over time spent</text>
</svg>`;
}

const fixed = (score: number): string => score.toFixed(2);
const signed = (difference: number): string => `${difference < 0 ? "−" : "+"}${Math.abs(difference).toFixed(2)}`;
const counted = (count: number): string => count.toLocaleString("en-US");

function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(0)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
