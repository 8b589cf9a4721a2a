import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { cosineSimilarity } from "../embed/pooling.ts";
import { writeWhole } from "../files/output-file.ts";
import { packageVersion } from "../files/package-version.ts";
import { pearson, spearman } from "./correlation.ts";
import type { StsSet, VectorOf } from "./sts.ts";
import type { StsTask } from "./tasks.ts";

/** The release of mteb whose result form this is. */
const mtebVersion = "2.26.24";

const taskNames: Readonly<Record<Exclude<StsTask, "stsb-dev">, string>> = {
  sts12: "STS12",
  sts13: "STS13",
  sts14: "STS14",
  sts15: "STS15",
  sts16: "STS16",
  stsb: "STSBenchmark",
  sickr: "SICK-R",
};

/** mteb's scores of one set, as fractions; NaN is null in the file. */
export interface MtebScores {
  readonly pearson: number;
  readonly spearman: number;
  readonly cosine_pearson: number;
  readonly cosine_spearman: number;
  readonly manhattan_pearson: number;
  readonly manhattan_spearman: number;
  readonly euclidean_pearson: number;
  readonly euclidean_spearman: number;
}

/** All pairs of a set at once, by cosine and by the negative of two distances. */
export function mtebScores({ subsets }: StsSet, vectorOf: VectorOf): MtebScores {
  const pairs = subsets.flatMap((subset) => subset.pairs);
  const scores = pairs.map(({ score }) => score);
  const correlate = (similarity: (a: Float32Array, b: Float32Array) => number): readonly [number, number] => {
    const values = pairs.map(({ sentence1, sentence2 }) => similarity(vectorOf(sentence1), vectorOf(sentence2)));
    return [pearson(values, scores), spearman(values, scores)];
  };
  const [cosine, manhattan, euclidean] = [cosineSimilarity, negativeDistance(1), negativeDistance(2)].map(
    correlate,
  ) as [readonly [number, number], readonly [number, number], readonly [number, number]];
  return {
    pearson: cosine[0],
    spearman: cosine[1],
    cosine_pearson: cosine[0],
    cosine_spearman: cosine[1],
    manhattan_pearson: manhattan[0],
    manhattan_spearman: manhattan[1],
    euclidean_pearson: euclidean[0],
    euclidean_spearman: euclidean[1],
  };
}

const negativeDistance =
  (power: 1 | 2) =>
  (a: Float32Array, b: Float32Array): number => {
    const sum = a.reduce((total, value, i) => total + Math.abs(value - b[i]!) ** power, 0);
    return -(power === 1 ? sum : Math.sqrt(sum));
  };

export interface MtebModel {
  /** owner/name, or a name. */
  readonly name: string;
  /** Commit or checksum; what mteb calls no_revision_available where there is none. */
  readonly revision: string | null;
  readonly hiddenSize: number | null;
  readonly maxTokens: number | null;
}

export interface MtebResult {
  readonly task: StsTask;
  readonly scores: MtebScores;
}

/**
 * Writes `<folder>/<owner>__<name>/<revision>/<Task>.json`, model_meta.json and run_settings.jsonl, as mteb's results
 * repository has them. The settings of tasks that were written there before stay. The STS Benchmark's development split has
 * no place there.
 * @param seconds  of the whole evaluation, shared out evenly
 * @returns the folder of the files
 */
export async function writeMteb(
  folder: string,
  model: MtebModel,
  results: readonly MtebResult[],
  seconds: number,
  at: Date,
): Promise<string> {
  const safe = (name: string): string => name.replaceAll("/", "__").replace(/[ :]/g, "_");
  const revision = model.revision ?? "no_revision_available";
  const place = join(folder, safe(model.name), safe(revision));
  const write = (name: string, json: unknown): Promise<void> =>
    writeWhole(join(place, name), `${JSON.stringify(json, null, 4)}\n`, "--mteb");
  await write("model_meta.json", modelMeta(model, revision));
  const written: string[] = [];
  for (const { task, scores } of results) {
    if (task === "stsb-dev") continue;
    const name = taskNames[task];
    await write(`${name}.json`, taskFile(name, scores, seconds / results.length, at));
    written.push(name);
  }
  if (written.length > 0) await mergeRunSettings(join(place, "run_settings.jsonl"), written);
  return place;
}

/** Programs that mteb writes the versions of; none of them made these vectors. */
const mtebPackages = { torch: null, "sentence-transformers": null, "flash-attn": null, transformers: null };

/** A line for each task, in the form mteb has had since 2.19. */
async function mergeRunSettings(file: string, tasks: readonly string[]): Promise<void> {
  const version = { mteb: mtebVersion, ...mtebPackages, oneword: packageVersion() };
  const lines = tasks.map((task) =>
    JSON.stringify({ task, splits: ["test"], version, encode_kwargs: {}, subsets: ["default"] }),
  );
  const others = (await readIfThere(file))
    .split("\n")
    .filter((line) => line !== "" && !tasks.includes(taskOf(line) ?? ""));
  await writeWhole(file, [...others, ...lines, ""].join("\n"), "--mteb");
}

async function readIfThere(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

/** @returns undefined for a line that is not mteb's, which stays as it is */
function taskOf(line: string): string | undefined {
  try {
    return (JSON.parse(line) as { task?: string } | null)?.task;
  } catch {
    return undefined; // no JSON
  }
}

const taskFile = (name: string, scores: MtebScores, seconds: number, at: Date) => ({
  dataset_revision: "no_revision_available", // the sets were read from a folder
  task_name: name,
  mteb_version: mtebVersion,
  scores: {
    test: [
      {
        ...scores,
        main_score: scores.cosine_spearman,
        hf_subset: "default",
        languages: ["eng-Latn"],
        mteb_version: mtebVersion,
      },
    ],
  },
  evaluation_time: seconds,
  kg_co2_emissions: null,
  date: at.toISOString(),
  evaluation_phases: null,
});

const modelMeta = ({ name, hiddenSize, maxTokens }: MtebModel, revision: string) => ({
  name,
  revision,
  release_date: null,
  languages: ["eng-Latn"],
  n_parameters: null,
  memory_usage_mb: null,
  max_tokens: maxTokens,
  embed_dim: hiddenSize,
  license: null,
  open_weights: null,
  public_training_code: null,
  public_training_data: null,
  framework: ["ONNX"],
  similarity_fn_name: "cosine",
  use_instructions: true,
  training_datasets: null,
});
