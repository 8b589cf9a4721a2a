import { type EmbedProgress, embedTexts } from "./embed-texts.ts";
import { readStsSet } from "./read-sts.ts";
import { type StsResult, type StsSet, scoreSts } from "./sts.ts";
import { isTransferTask, type StsTask, type Task } from "./tasks.ts";
import type { VectorSource } from "./vector-source.ts";

export interface EvaluateOptions {
  readonly tasks: readonly Task[];
  /** Folder with the sets. */
  readonly dataFolder: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: EmbedProgress) => void;
}

export interface EvaluationRun {
  readonly name: string;
  readonly sts: readonly StsResult[];
  readonly distinctTexts: number;
  readonly truncatedTexts: number;
  readonly embedSeconds: number;
}

/** Reads the sets, embeds every distinct text of all of them once, and scores. */
export async function evaluate(source: VectorSource, options: EvaluateOptions): Promise<EvaluationRun> {
  const { tasks, dataFolder, signal, onProgress } = options;
  const stsSets = await Promise.all(tasks.filter(isStsTask).map((task) => readStsSet(task, dataFolder)));
  const { vectors, ...embedded } = await embedTexts(source, stsTexts(stsSets), {
    ...(signal ? { signal } : {}),
    ...(onProgress ? { onProgress } : {}),
  });
  const sts = stsSets.map((set) => scoreSts(set, (text) => vectors.get(text)!));
  return { name: source.name, sts, distinctTexts: vectors.size, ...embedded };
}

const isStsTask = (task: Task): task is StsTask => !isTransferTask(task);

function* stsTexts(sets: readonly StsSet[]): Generator<string, void, undefined> {
  for (const { subsets } of sets) {
    for (const { pairs } of subsets) for (const { sentence1, sentence2 } of pairs) yield* [sentence1, sentence2];
  }
}
