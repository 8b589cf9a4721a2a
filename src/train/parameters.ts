import { elementCount, type FloatTensor } from "../files/float-tensors.ts";
import type { DecoderConfig } from "../models/config.ts";
import type { LoraTensor } from "../models/lora.ts";
import { isReordered, reorderHeads } from "../models/rope-order.ts";
import { Random } from "./random.ts";

/** All tensors of an adapter, or their gradients, as one flat array with a view for each. */
export class FlatTensors {
  readonly tensors: readonly LoraTensor[];
  readonly values: Float32Array;
  readonly #views = new Map<string, Float32Array>();

  constructor(tensors: readonly LoraTensor[]) {
    this.tensors = tensors;
    this.values = new Float32Array(tensors.reduce((size, { shape }) => size + elementCount(shape), 0));
    let start = 0;
    for (const { name, shape } of tensors) {
      const end = start + elementCount(shape);
      this.#views.set(name, this.values.subarray(start, end));
      start = end;
    }
  }

  /** Writing into it writes into `values`. */
  view(name: string): Float32Array {
    return this.#views.get(name)!;
  }
}

/** PEFT's start: A uniform in ±1/√in (Kaiming with a = √5), B zero, so that an untrained adapter does nothing. */
export function initialParameters(tensors: readonly LoraTensor[], seed: number): FlatTensors {
  const parameters = new FlatTensors(tensors);
  const random = new Random(seed);
  for (const { name, shape } of tensors) {
    if (!name.endsWith("lora_A.weight")) continue;
    const bound = 1 / Math.sqrt(shape[1]);
    const view = parameters.view(name);
    for (let i = 0; i < view.length; i++) view[i] = (2 * random.next() - 1) * bound;
  }
  return parameters;
}

/** Tensors as an adapter file has them: rows of rotated heads in transformers' order, whatever the base's file. */
export function exchangeTensors(parameters: FlatTensors, config: DecoderConfig): FloatTensor[] {
  return parameters.tensors.map(({ name, shape }) => {
    const values = parameters.view(name);
    const scope = name.replace(/\.lora_B\.weight$/, "");
    if (!isReordered(scope, config)) return { name, shape, values };
    return { name, shape, values: reorderHeads(values, shape[0], config.headDim, "hf") };
  });
}
