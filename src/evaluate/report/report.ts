import { fieldsBeyondPrompt } from "../../text/prompt-parts.ts";
import { compareRuns, type Difference } from "../bootstrap.ts";
import { signed, stsColumns, transferColumns } from "../result-table.ts";
import type { SavedRun, SavedSts } from "../saved-run.ts";
import { type StsTask, taskTitles } from "../tasks.ts";
import { differenceChart, scatterChart, subsetBars } from "./charts.ts";
import { colourOf, escapeHtml, htmlPage, htmlTable } from "./html.ts";

/** One HTML file that needs nothing else: results, comparison with the first run, and every STS set in detail. */
export function reportHtml(runs: readonly SavedRun[]): string {
  const tasks = [...new Set(runs.flatMap(({ sts }) => sts.map(({ task }) => task)))];
  const parts = [
    `<h1>Sentence embeddings: ${runs.map(({ name }) => escapeHtml(name)).join(" and ")}</h1>`,
    `<p class="faint">oneword ${escapeHtml(runs[0]!.version)}, ${runs[0]!.date.slice(0, 10)}. Spearman's correlation × 100; accuracy in per cent.</p>`,
    `<nav>${tasks.map((task) => `<a href="#${task}">${taskTitles[task]}</a>`).join("")}</nav>`,
    resultSection(runs),
    recipeSection(runs),
    ...runs.slice(1).map((run, i) => comparisonSection(runs[0]!, run, colourOf(i + 1))),
    ...tasks.map((task) => setSection(task, runs)),
  ];
  return htmlPage("oneword: evaluation", parts.join("\n"));
}

const named = (runs: readonly SavedRun[], run: number): string =>
  `<span class="key" style="background:${colourOf(run)}"></span>${escapeHtml(runs[run]!.name)}`;

function resultSection(runs: readonly SavedRun[]): string {
  const tables = [stsColumns(runs), transferColumns(runs)].filter((columns) => columns.length > 0);
  const html = tables.map((columns) =>
    htmlTable([
      ["run", ...columns.map(({ title }) => title)],
      ...runs.map((run, i) => [named(runs, i), ...columns.map(({ cell }) => cell(run))]),
    ]),
  );
  return `<h2>Results</h2>\n${html.join("\n")}`;
}

function recipeSection(runs: readonly SavedRun[]): string {
  const rows = runs.map((run, i) => {
    const { recipe } = run;
    const demonstrations = recipe?.demonstrations.map(({ sentence, word }) => `${sentence} → ${word}`).join("; ");
    const cells = recipe
      ? [
          recipe.model,
          [recipe.template].flat().join(" · "),
          demonstrations || "none",
          recipe.precision,
          String(recipe.layer),
          recipe.adapter ?? "none",
          [...fieldsBeyondPrompt(recipe), ...(recipe.normalize ? ["normalize"] : [])].join(", ") || "none",
        ]
      : ["not a model here", "", "", "", "", "", ""];
    return [named(runs, i), ...cells.map((cell) => `<code>${escapeHtml(cell)}</code>`)];
  });
  const header = ["run", "model", "template", "demonstrations", "precision", "layer", "adapter", "on top"];
  return `<details><summary>Recipes</summary>${htmlTable([header, ...rows], "pairs")}</details>`;
}

function comparisonSection(first: SavedRun, second: SavedRun, colour: string): string {
  const differences = compareRuns(first, second);
  const rows = differences.map(({ task, difference, low, high }) => [
    task === "average" ? "Average" : taskTitles[task],
    signed(difference),
    `${signed(low)} to ${signed(high)}`,
    low > 0 ? "better" : high < 0 ? "worse" : "may be chance",
  ]);
  return `<h2>${escapeHtml(second.name)} against ${escapeHtml(first.name)}</h2>
<p>${verdict(differences.at(-1)!)} Points, with the interval that holds 95 % of 1,000 paired bootstrap resamples of the pairs.</p>
<div class="charts"><figure>${differenceChart(differences, colour)}</figure>
${htmlTable([["task", "points", "95 % interval", ""], ...rows])}</div>`;
}

function verdict({ difference, low, high }: Difference): string {
  const size = `${signed(difference)} points on the whole`;
  if (low > 0) return `Really better: ${size}, and 0 is outside of the interval.`;
  if (high < 0) return `Really worse: ${size}, and 0 is outside of the interval.`;
  return `Not decided: ${size}, but 0 is inside of the interval.`;
}

function setSection(task: StsTask, runs: readonly SavedRun[]): string {
  const sets = runs.map(({ sts }) => sts.find((set) => set.task === task));
  const scatters = sets.flatMap((set, i) =>
    set ? [`<figure>${scatterChart(set, colourOf(i))}<figcaption>${named(runs, i)}</figcaption></figure>`] : [],
  );
  const bars = `<figure>${subsetBars(sets)}<figcaption>Spearman × 100 of each subset</figcaption></figure>`;
  return `<h2 id="${task}">${taskTitles[task]}</h2>
<div class="charts">${scatters.join("\n")}\n${bars}</div>
<h3>The pairs that cost most</h3>
${worstTable(sets, runs)}`;
}

/** The first run's worst pairs, with every run's cosine. */
function worstTable(sets: readonly (SavedSts | undefined)[], runs: readonly SavedRun[]): string {
  const shown = sets.findIndex((set) => set !== undefined);
  const cosineIn = (set: SavedSts | undefined, subset: string, index: number): string =>
    set?.subsets.find(({ name }) => name === subset)?.cosines[index]?.toFixed(3) ?? "–";
  const rows = sets[shown]!.worst.map((pair) => [
    `${pair.cosineRank > pair.scoreRank ? "too close" : "too far"}`,
    escapeHtml(pair.sentence1),
    escapeHtml(pair.sentence2),
    String(pair.score),
    ...sets.map((set) => cosineIn(set, pair.subset, pair.index)),
    `${Math.round(100 * pair.scoreRank)} → ${Math.round(100 * pair.cosineRank)}`,
    escapeHtml(pair.subset),
  ]);
  const cosines = runs.map((_, i) => `cosine ${named(runs, i)}`);
  const header = ["", "sentence 1", "sentence 2", "score", ...cosines, "place by score → by cosine, of 100", "subset"];
  return `<p class="faint">Of ${escapeHtml(runs[shown]!.name)}, by how far their place by cosine is from that by score.</p>
${htmlTable([header, ...rows], "pairs")}`;
}
