import type { Recipe } from "../text/recipe.ts";
import { type EmbedCounts, type EmbeddingState, embedTexts } from "./embed-texts.ts";
import type { EmbeddingCache } from "./embedding-cache.ts";
import { type MtebResult, mtebScores } from "./mteb.ts";
import { readStsSet } from "./read-sts.ts";
import { readTransferSet } from "./read-transfer.ts";
import { type StsResult, type StsSet, scoreSts } from "./sts.ts";
import { isTransferTask, type StsTask, type Task } from "./tasks.ts";
import { transferModes } from "./transfer.ts";
import { evaluateTransfer, type TransferResult } from "./transfer-result.ts";
import type { TransferSet } from "./transfer-sets.ts";
import type { VectorSource } from "./vector-source.ts";

export type ModeName = keyof typeof transferModes;

export interface EvaluateOptions {
  /** Vectors of earlier runs; what is embedded now goes there too. */
  readonly cache?: EmbeddingCache | undefined;
  /** How transfer classifiers are trained; `full` by default. */
  readonly mode?: ModeName | undefined;
  /** Whether to compute mteb's scores too. */
  readonly withMteb?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onEmbed?: ((progress: EmbeddingState) => void) | undefined;
  /** Told before a transfer task is trained. */
  readonly onTransfer?: ((task: Task) => void) | undefined;
}

export interface EvaluationRun extends EmbedCounts {
  readonly name: string;
  /** Null where the vectors are not of a model here. */
  readonly recipe: Recipe | null;
  readonly mode: ModeName;
  readonly sts: readonly StsResult[];
  readonly transfer: readonly TransferResult[];
  /** Empty unless asked for. */
  readonly mteb: readonly MtebResult[];
}

/** Sets that were read, and what is in them. */
export interface EvaluationSets {
  readonly sts: readonly StsSet[];
  readonly transfer: readonly TransferSet[];
}

/** Embeds every distinct text of all sets once, and scores. */
export async function evaluate(
  source: VectorSource,
  sets: EvaluationSets,
  { cache, mode = "full", withMteb, signal, onEmbed, onTransfer }: EvaluateOptions = {},
): Promise<EvaluationRun> {
  const embedded = await embedTexts(source, textsOf(sets), { cache, signal, onProgress: onEmbed });
  const { vectors, ...counts } = embedded;
  const vectorOf = (text: string): Float32Array => vectors.get(text)!;
  const sts = sets.sts.map((set) => scoreSts(set, vectorOf));
  const mteb = withMteb ? sets.sts.map((set) => ({ task: set.task, scores: mtebScores(set, vectorOf) })) : [];
  const transfer: TransferResult[] = [];
  for (const set of sets.transfer) {
    signal?.throwIfAborted();
    onTransfer?.(set.task);
    transfer.push(await evaluateTransfer(set, vectorOf, { ...transferModes[mode], signal }));
  }
  return { name: source.name, recipe: source.recipe ?? null, mode, sts, transfer, mteb, ...counts };
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
