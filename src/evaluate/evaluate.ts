import { type EmbedCounts, type EmbedProgress, embedTexts } from "./embed-texts.ts";
import type { EmbeddingCache } from "./embedding-cache.ts";
import { readStsSet } from "./read-sts.ts";
import { readTransferSet } from "./read-transfer.ts";
import { type StsResult, type StsSet, scoreSts } from "./sts.ts";
import { isTransferTask, type StsTask, type Task } from "./tasks.ts";
import type { TransferSet } from "./transfer-sets.ts";
import type { VectorSource } from "./vector-source.ts";

export interface EvaluateOptions {
  readonly tasks: readonly Task[];
  /** Folder with the sets. */
  readonly dataFolder: string;
  /** Vectors of earlier runs; what is embedded now goes there too. */
  readonly cache?: EmbeddingCache | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (progress: EmbedProgress) => void;
}

export interface EvaluationRun extends EmbedCounts {
  readonly name: string;
  readonly sts: readonly StsResult[];
}

/** Sets that were read, and what is in them. */
export interface EvaluationSets {
  readonly sts: readonly StsSet[];
  readonly transfer: readonly TransferSet[];
}

/** Reads the sets, embeds every distinct text of all of them once, and scores. */
export async function evaluate(source: VectorSource, options: EvaluateOptions): Promise<EvaluationRun> {
  const { cache, signal, onProgress } = options;
  const sets = await readSets(options.tasks, options.dataFolder);
  const { vectors, ...counts } = await embedTexts(source, textsOf(sets), { cache, signal, onProgress });
  const sts = sets.sts.map((set) => scoreSts(set, (text) => vectors.get(text)!));
  return { name: source.name, sts, ...counts };
}

const isStsTask = (task: Task): task is StsTask => !isTransferTask(task);

/** @throws InputError for a set that is missing or malformed */
export async function readSets(tasks: readonly Task[], dataFolder: string): Promise<EvaluationSets> {
  const sts: StsSet[] = [];
  const transfer: TransferSet[] = [];
  for (const task of tasks) {
    if (isStsTask(task)) sts.push(await readStsSet(task, dataFolder));
    else transfer.push(await readTransferSet(task, dataFolder));
  }
  return { sts, transfer };
}

/** Every text of the sets, in their order. */
export function* textsOf({ sts, transfer }: EvaluationSets): Generator<string, void, undefined> {
  for (const { subsets } of sts) {
    for (const { pairs } of subsets) for (const { sentence1, sentence2 } of pairs) yield* [sentence1, sentence2];
  }
  for (const { train, dev = [], test = [] } of transfer) {
    for (const split of [train, dev, test]) for (const { sentences } of split) yield* sentences;
  }
}
