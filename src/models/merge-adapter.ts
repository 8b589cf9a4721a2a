import { ModelError } from "../errors.ts";
import type { Adapter, AdapterPair } from "./adapter-file.ts";
import type { DecoderConfig } from "./config.ts";
import { isReordered, reorderHeads } from "./rope-order.ts";
import type { LowRank } from "./weight-fill.ts";

/** scale · B, its rows in the order of the weight at `scope`. [out, rank] */
export function scaledRows(scope: string, { b, scale }: AdapterPair, config: DecoderConfig): Float32Array {
  const scaled = b.values.map((value) => value * scale);
  return isReordered(scope, config) ? reorderHeads(scaled, b.shape[0]!, config.headDim, "gguf") : scaled;
}

/**
 * What an adapter adds to a model's weights, by tensor name.
 * @param tensors  the model's, by name, with their shapes [out, in]
 * @throws as checkPairs
 */
export function addedByAdapter(adapter: Adapter, tensors: Shapes, config: DecoderConfig): Map<string, LowRank> {
  checkPairs(adapter, tensors);
  const pairs = [...adapter.pairs];
  return new Map(
    pairs.map(([scope, pair]) => [`${scope}.weight`, { a: pair.a.values, b: scaledRows(scope, pair, config) }]),
  );
}

type Shapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

/** @throws ModelError "weight-missing" for a pair whose weight the model lacks, "weight-shape" for one of another size */
export function checkPairs({ pairs, folder }: Adapter, tensors: Shapes): void {
  for (const [scope, { a, b }] of pairs) {
    const weight = tensors.get(`${scope}.weight`);
    if (!weight) {
      throw new ModelError(
        "weight-missing",
        `${folder}: the model has no weight "${scope}" to adapt. The adapter is for another model.`,
      );
    }
    if (weight.shape[0] === b.shape[0] && weight.shape[1] === a.shape[1]) continue;
    throw new ModelError(
      "weight-shape",
      `${folder}: A [${a.shape}] and B [${b.shape}] do not fit "${scope}", which is [${weight.shape}]. The adapter is for another model.`,
    );
  }
}
