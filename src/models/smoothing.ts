import { InternalError } from "../errors.ts";
import type { TensorEntry } from "../files/tensor-index.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { abs } from "../graph/ops/elementwise.ts";
import { reduceMax } from "../graph/ops/reduce.ts";
import type { Architecture } from "./architecture.ts";
import { columnMaxima, type MaximaOptions } from "./column-maxima.ts";
import type { DecoderConfig } from "./config.ts";
import type { LowRank, Rescale } from "./weight-fill.ts";
import type { Observer } from "./weights.ts";

/** How much of an outlier's size goes to the weights; between 0.5 and 0.75 makes little difference (docs/design.md). */
const strength = 0.65;

/** Name of the graph output with the largest |x| of each channel of a linear weight's input. */
export const maximaOutput = (scope: string): string => `maxima.${scope}`;

/** Adds an output for every linear weight's input; weights with one input share it. */
export function observeMaxima(graph: Graph): Observer {
  const maxima = new Map<Value, Value>();
  return (scope, x) => {
    const known = maxima.get(x) ?? reduceMax(abs(x), 0);
    maxima.set(x, known);
    graph.output(known, maximaOutput(scope));
  };
}

export interface SmoothingOptions extends Omit<MaximaOptions, "addedTo"> {
  /** What is added to the weights, by tensor name. */
  readonly added?: ReadonlyMap<string, LowRank> | undefined;
}

/**
 * Factors that even out activations whose channels differ by orders of magnitude, so that 8 bits for a token are enough:
 * s_j = max|x_j|^α / max|w_j|^(1 − α), columns of the weights · s, channels before them / s.
 * @param maxima  largest |x| of each channel, by scope of the linear weight
 * @see SmoothQuant, arXiv 2211.10438, equation 4
 */
export async function smoothingFactors(
  entries: ReadonlyMap<string, TensorEntry>,
  architecture: Architecture,
  config: DecoderConfig,
  maxima: ReadonlyMap<string, Float32Array>,
  { added, ...options }: SmoothingOptions = {},
): Promise<Map<string, Rescale>> {
  const scopes = Array.from({ length: config.numLayers }, (_, i) => architecture.layerScope(i));
  const pairs = scopes.flatMap((scope) =>
    architecture.smoothing(config).map(({ linears, from }) => ({
      linears: linears.map((name) => `${scope}.${name}`),
      from: from.map((name) => `${scope}.${name}`),
    })),
  );
  const weightOf = (scope: string): TensorEntry => entryOf(entries, `${scope}.weight`);
  const addedByEntry = new Map([...(added ?? [])].map(([name, pair]) => [entryOf(entries, name), pair]));
  const weightMaxima = await columnMaxima(
    pairs.flatMap(({ linears }) => linears.map(weightOf)),
    { ...options, addedTo: (entry) => addedByEntry.get(entry) },
  );
  const factors = new Map<string, Rescale>();
  const merge = (name: string, rescale: Rescale): void => {
    if (entries.has(name)) factors.set(name, { ...factors.get(name), ...rescale });
  };
  for (const { linears, from } of pairs) {
    const weights = linears.map((scope) => weightMaxima.get(weightOf(scope))!);
    const scales = balance(largest(linears.flatMap((scope) => maxima.get(scope) ?? [])), largest(weights));
    for (const scope of linears) merge(`${scope}.weight`, { columns: scales });
    for (const name of from) merge(name, { rows: scales.map((scale) => 1 / scale) });
  }
  return factors;
}

function entryOf(entries: ReadonlyMap<string, TensorEntry>, name: string): TensorEntry {
  const entry = entries.get(name);
  if (!entry) throw new InternalError("graph", `"${name}" is not in the checkpoint.`);
  return entry;
}

/** Channel by channel the largest of several. */
const largest = (maxima: readonly Float32Array[]): Float32Array =>
  maxima.reduce((all, some) => all.map((value, channel) => Math.max(value, some[channel]!)));

function balance(activations: Float32Array, weights: Float32Array): Float32Array {
  const scales = activations.map(
    (activation, channel) =>
      Math.max(activation, 1e-5) ** strength / Math.max(weights[channel]!, 1e-5) ** (1 - strength),
  );
  const mean = Math.exp(scales.reduce((sum, scale) => sum + Math.log(scale), 0) / scales.length);
  return scales.map((scale) => Math.min(1e4, Math.max(1e-4, scale / mean)));
}
