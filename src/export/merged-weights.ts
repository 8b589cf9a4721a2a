import { ModelError } from "../errors.ts";
import { elementCount, type LazyTensor, readFloats } from "../files/float-tensors.ts";
import type { Adapter, AdapterPair } from "../models/adapter-file.ts";
import type { Architecture } from "../models/architecture.ts";
import type { OpenedCheckpoint } from "../models/checkpoint.ts";
import type { DecoderConfig } from "../models/config.ts";
import { checkPairs } from "../models/merge-adapter.ts";
import { isReordered, reorderHeads } from "../models/rope-order.ts";
import type { StoredTensor } from "../models/weights.ts";

const typeNames = { float32: "F32", float16: "F16", bfloat16: "BF16" } as const;

/**
 * A model's tensors in transformers' order and under the names of its base class, W + scale · B A where there is an adapter,
 * without the layers above `depth`.
 * @param opened  opened with precision float32
 * @throws as checkPairs
 */
export function mergedTensors(
  { checkpoint }: OpenedCheckpoint,
  { layerScope }: Architecture,
  config: DecoderConfig,
  adapter: Adapter | null,
  depth: number,
): LazyTensor[] {
  if (adapter) checkPairs(adapter, checkpoint.tensors);
  const cut = Array.from({ length: config.numLayers - depth }, (_, i) => `${layerScope(depth + i)}.`);
  const kept = [...checkpoint.tensors].filter(([name]) => !cut.some((scope) => name.startsWith(scope)));
  return kept.map(([name, stored]) => ({
    name,
    shape: stored.shape,
    async read() {
      const values = await readDense(stored, name);
      const rows = stored.shape[0]!;
      const ordered = isReordered(scopeOf(name), config) ? reorderHeads(values, rows, config.headDim, "hf") : values;
      const pair = name.endsWith(".weight") && adapter?.pairs.get(scopeOf(name));
      if (pair) addPair(ordered, pair);
      return ordered;
    },
  }));
}

/** The module of a weight or a bias. */
export const scopeOf = (name: string): string => name.replace(/\.(weight|bias)$/, "");

async function readDense(stored: StoredTensor, name: string): Promise<Float32Array> {
  if (stored.kind !== "dense") throw new ModelError("unsupported-type", `"${name}" is quantised; export widens first.`);
  const { file, offset, length, shape, type } = stored;
  const values = await readFloats({ name, type: typeNames[type], shape, file, offset, length });
  if (values.length === elementCount(shape)) return values;
  throw new ModelError("corrupt-file", `${file}: "${name}" is cut.`);
}

/** W += scale · B A, in place. */
function addPair(weight: Float32Array, { a, b, scale }: AdapterPair): void {
  const [rank, columns] = a.shape as readonly [number, number];
  for (let row = 0; row < b.shape[0]!; row++) {
    for (let k = 0; k < rank; k++) {
      const factor = scale * b.values[row * rank + k]!;
      for (let i = 0; i < columns; i++) weight[row * columns + i]! += factor * a.values[k * columns + i]!;
    }
  }
}
