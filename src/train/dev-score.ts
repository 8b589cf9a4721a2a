import { dirname } from "node:path";
import { packagedDev } from "../evaluate/data-folder.ts";
import { readStsSet } from "../evaluate/read-sts.ts";
import { type StsSet, scoreSts } from "../evaluate/sts.ts";
import { buildInferenceGraph } from "../models/build.ts";
import { LoraInputs } from "../models/lora.ts";
import { Encoder } from "../runtime/encoder.ts";
import type { SessionOptions } from "../runtime/session.ts";
import { runBatches } from "../text/batch.ts";
import { parameterFeeds } from "./batch-gradients.ts";
import type { FlatTensors } from "./parameters.ts";
import type { PromptEncoder } from "./prompts.ts";
import type { AdaptedModel } from "./training-graph.ts";

/** Most tokens of one run for the score, where memory allows it. */
export const devBatchTokens = 1024;

/** Scores an adapter on the development split of STS-B while it is being trained. */
export class DevScore {
  readonly #encoder: Encoder;
  readonly #set: StsSet;
  readonly #prompts: PromptEncoder;
  readonly #maxBatchTokens: number;

  private constructor(encoder: Encoder, set: StsSet, prompts: PromptEncoder, maxBatchTokens: number) {
    this.#encoder = encoder;
    this.#set = set;
    this.#prompts = prompts;
    this.#maxBatchTokens = maxBatchTokens;
  }

  static async create(
    model: AdaptedModel,
    prompts: PromptEncoder,
    options: SessionOptions,
    maxBatchTokens = devBatchTokens,
  ): Promise<DevScore> {
    const { architecture, config, checkpoint, layer, rank, alpha, targets } = model;
    const graph = buildInferenceGraph(architecture, config, checkpoint, layer, {
      lora: (inner) => new LoraInputs(inner, { rank, scale: alpha / rank, targets }).pair,
    });
    const set = await readStsSet("stsb-dev", dirname(packagedDev));
    return new DevScore(await Encoder.create(graph, options), set, prompts, maxBatchTokens);
  }

  /**
   * @returns Spearman's correlation, in [-1, 1]
   * @throws InputError "aborted" between two runs when the signal says so
   */
  async score(parameters: FlatTensors, signal?: AbortSignal): Promise<number> {
    const encoder = this.#encoder.adapted(parameterFeeds(parameters));
    const prefix = await encoder.cachePrefix(this.#prompts.prefix);
    const pairs = this.#set.subsets.flatMap((subset) => subset.pairs);
    const texts = [...new Set(pairs.flatMap(({ sentence1, sentence2 }) => [sentence1, sentence2]))];
    const sequences = texts.map((text) => ({ ids: this.#prompts.encode(text).slice(prefix.length) }));
    const plan = { maxBatchTokens: this.#maxBatchTokens, signal };
    const rows = await runBatches(sequences, plan, ({ tree }) => encoder.run(tree, prefix));
    const vectors = new Map(texts.map((text, i) => [text, rows[i]!]));
    return scoreSts(this.#set, (text) => vectors.get(text)!).all.spearman;
  }

  close(): Promise<void> {
    return this.#encoder.close();
  }
}

/** Whether a score is over the best so far. NaN, of vectors that are all the same, is below every number; a file has null for it. */
export const beats = (score: number, best: number | null): boolean => !Number.isFinite(best) || score > best!;
