import { setImmediate } from "node:timers/promises";
import { InputError, ModelError } from "../errors.ts";
import type { Adapter } from "../models/adapter-file.ts";
import { buildInferenceGraph } from "../models/build.ts";
import type { OpenedCheckpoint } from "../models/checkpoint.ts";
import type { DecoderConfig } from "../models/config.ts";
import { findArchitecture } from "../models/registry.ts";
import { maximaOutput, observeMaxima } from "../models/smoothing.ts";
import { Encoder } from "../runtime/encoder.ts";
import { completeRecipe } from "../text/complete-recipe.ts";
import { promptParts } from "../text/prompt-parts.ts";
import { TokenTree } from "../text/token-tree.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { AdapterOnModel } from "./adapter-on-model.ts";
import { calibrationSentences } from "./calibration-sentences.ts";

/** Sentences of one run: each unpacks all weights. More take more memory than all the rest of preparing, and hold up an interrupt. */
const batchSize = 4;

export interface MeasureOptions {
  /** On the weights. */
  readonly adapter?: Adapter | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Largest |x| of each channel of every linear weight's input over some prompts, by the weight's scope: what int8 needs to
 * know of a model's activations. The sentences are fixed, so that a model gives the same weights on every machine.
 * @throws InputError "aborted", between two runs; ModelError "tokenizer" where the model can take none of them
 */
export async function measureActivations(
  { config: json, configSource, checkpoint }: OpenedCheckpoint,
  tokenizer: Tokenizer,
  { adapter, signal }: MeasureOptions = {},
): Promise<ReadonlyMap<string, Float32Array>> {
  const architecture = findArchitecture(json, configSource);
  const config = architecture.readConfig(json, configSource);
  const sequences = encodedPrompts(tokenizer, config);
  const onModel = adapter && new AdapterOnModel(adapter, checkpoint, config);
  const scopes: string[] = [];
  const graph = buildInferenceGraph(architecture, config, checkpoint, "last", {
    observer: (inner) => {
      const observe = observeMaxima(inner);
      return (scope, x) => {
        scopes.push(scope);
        observe(scope, x);
      };
    },
    ...(onModel ? { lora: onModel.lora } : {}),
  });
  const plain = await Encoder.create(graph, { isFrugal: true });
  const encoder = onModel ? plain.adapted(onModel.feeds(plain.inputNames)) : plain;
  try {
    const maxima = new Map<string, Float32Array>();
    for (const batch of batches(sequences)) {
      await setImmediate(); // runs keep the thread; here a signal or a redraw gets its turn
      if (signal?.aborted) throw new InputError("aborted", "stopped while the model's activations were measured.");
      const outputs = await encoder.outputs(TokenTree.of(batch), scopes.map(maximaOutput));
      for (const scope of scopes) {
        const seen = outputs.get(maximaOutput(scope))!;
        maxima.set(scope, maxima.get(scope)?.map((value, i) => Math.max(value, seen[i]!)) ?? seen);
      }
    }
    return maxima;
  } finally {
    await encoder.close();
  }
}

/** Prompts as the model can take them: its tokenizer may know more tokens than it has rows. */
function encodedPrompts(tokenizer: Tokenizer, { vocabSize, maxPositions, source }: DecoderConfig): number[][] {
  const all = prompts().map((prompt) => tokenizer.encode(prompt));
  const fitting = all.filter((ids) => ids.length <= maxPositions && ids.every((id) => id < vocabSize));
  if (fitting.length > 0) return fitting;
  throw new ModelError(
    "tokenizer",
    `the tokenizer gives none of ${all.length} English sentences tokens that the ${vocabSize} rows and ${maxPositions} ` +
      `positions of ${source} can take. Use the tokenizer that came with the weights.`,
  );
}

/** Half of the sentences alone in the template, half after a demonstration. */
function prompts(): string[] {
  const known = { model: "", precision: "stored" } as const;
  const demonstration = { sentence: calibrationSentences[0]!, word: "Weather" };
  const recipes = [{}, { demonstrations: [demonstration] }].flatMap((recipe) =>
    promptParts(completeRecipe(recipe, known)),
  );
  return calibrationSentences.map((sentence, i) => {
    const { prefix, suffix } = recipes[i % 2]!;
    return prefix + sentence + suffix;
  });
}

function* batches<T>(items: readonly T[]): Generator<T[]> {
  for (let i = 0; i < items.length; i += batchSize) yield items.slice(i, i + batchSize);
}
