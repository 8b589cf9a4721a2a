import { ModelError } from "../errors.ts";
import { elementCount, type LazyTensor, readFloats } from "../files/float-tensors.ts";
import type { Adapter } from "../models/adapter-file.ts";
import type { Architecture } from "../models/architecture.ts";
import type { OpenedCheckpoint } from "../models/checkpoint.ts";
import type { DecoderConfig } from "../models/config.ts";
import { checkPairs } from "../models/merge-adapter.ts";
import { isReordered, reorderHeads } from "../models/rope-order.ts";
import { addLowRank } from "../models/weight-fill.ts";
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
      if (pair) {
        const b = pair.b.values.map((value) => pair.scale * value);
        addLowRank(ordered, b, pair.a.values, pair.a.shape[1]!);
      }
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
