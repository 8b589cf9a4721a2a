import { isRange, type StoredTensor } from "../models/weights.ts";
import type { Device } from "../runtime/device.ts";

export interface WorkerFacts {
  readonly device: Device;
  /** As the caller set it. */
  readonly threads: number | undefined;
  readonly cores: number;
  /** Of one copy of the model. */
  readonly weightBytes: number;
  readonly freeBytes: number;
}

/** Most bytes of weights that are held without having been asked for; a session takes about as much again beside them. */
const mostWeightBytes = 1e9;
const shareOfFree = 1 / 4;

/**
 * Workers for many texts: one on each core, or one session for all cores where there are no several cores, the device is not
 * the CPU, the caller said how many threads there are, or so many copies of the weights are too much memory. Nothing between
 * the two: fewer workers than cores leave cores idle.
 */
export function chooseWorkers({ device, threads, cores, weightBytes, freeBytes }: WorkerFacts): number {
  if (device !== "cpu" || threads !== undefined) return 1;
  return cores * weightBytes <= Math.min(mostWeightBytes, freeBytes * shareOfFree) ? cores : 1;
}

/** Bytes of a model's weights in memory; dense ones are counted as float32, which the CPU computes in. */
export function weightBytes(tensors: Iterable<StoredTensor>): number {
  let bytes = 0;
  for (const tensor of tensors) {
    if (tensor.kind === "dense") bytes += 4 * tensor.shape.reduce((size, length) => size * length, 1);
    else for (const part of Object.values(tensor)) if (isRange(part)) bytes += part.length;
  }
  return bytes;
}
