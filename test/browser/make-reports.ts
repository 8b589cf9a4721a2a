import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { writeTinyModel } from "../tiny-model.ts";

const main = resolve(import.meta.dirname, "../../dist/cli/main.js");

/** Pages and what they were made from, in a folder. */
export interface Reports {
  /** Page of two runs, of which `run` is the second. */
  readonly evaluation: string;
  readonly run: string;
  readonly recipeSearch: string;
  /** Of a run that has ended. */
  readonly dashboard: string;
}

/** Evaluates and searches with a tiny model by the command line, as it was built. */
export async function makeReports(folder: string): Promise<Reports> {
  const model = join(folder, "tiny");
  await mkdir(model);
  await writeTinyModel(model);
  const oneword = (...args: string[]) =>
    promisify(execFile)(process.execPath, [main, ...args, "--model", model, "--offline", "-q"], {
      cwd: folder,
      env: { ...process.env, ONEWORD_CACHE: join(folder, "cache") },
    });
  const reports = ["evaluation.html", "run.json", "recipe.html", "dashboard.html"].map((name) => join(folder, name));
  const [evaluation, run, recipeSearch, dashboard] = reports as [string, string, string, string];
  await oneword("eval", "--tasks", "stsb-dev", "--save", "first.json");
  const other = ["--template", 'Say "{text}" again:', "--name", "another template of the same tiny model"];
  await oneword(
    "eval",
    "--tasks",
    "stsb-dev",
    ...other,
    "--save",
    run,
    "--compare",
    "first.json",
    "--report",
    evaluation,
  );
  await writeFile(join(folder, "pairs.tsv"), labelledPairs());
  await writeFile(join(folder, "words.tsv"), "sentence\tword\nA dog barks.\tDog\nRain falls on the old town.\tRain\n");
  const search = ["--data", "pairs.tsv", "--candidates", "words.tsv", "--depth", "1", "--output", "recipe.json"];
  await oneword("recipe", "search", ...search);
  await writeFile(join(folder, "triples.tsv"), triples());
  const size = ["--rank", "2", "--batch-size", "4", "--warmup-steps", "1", "--max-steps", "6", "--eval-every", "3"];
  await oneword("train", "--data", "triples.tsv", "--output", "adapter", ...size, "--dashboard", dashboard);
  return { evaluation, run, recipeSearch, dashboard };
}

function triples(): string {
  const rows = Array.from({ length: 30 }, (_, i) => `dog ${i} runs\tanimal ${i} moves\tcat ${i} sleeps`);
  return `sent0\tsent1\thard_neg\n${rows.join("\n")}\n`;
}

/** Pairs that share more words the higher their score. */
function labelledPairs(): string {
  const words = "dog cat man child bird horse runs sleeps eats sings waits plays".split(" ");
  const rows = Array.from({ length: 60 }, (_, i) => {
    const first = Array.from({ length: 5 }, (_, k) => words[(i + k * k) % words.length]!);
    const second = first.map((word, k) => (k < i % 6 ? word : words[(i + k + 7) % words.length]!));
    return `${i % 6}\t${first.join(" ")}\t${second.join(" ")} ${i}`;
  });
  return `score\tsentence1\tsentence2\n${rows.join("\n")}\n`;
}
