import { truncate, writeFile } from "node:fs/promises";
import { CapacityError, InputError } from "../errors.ts";
import { unwritableCache } from "../files/cache-folder.ts";
import { isDiskFull } from "../files/disk-full.ts";
import {
  makePrepared,
  type PreparedManifest,
  type PreparedOrigin,
  preparedPlace,
  readPrepared,
  weightsFile,
} from "../files/prepared.ts";
import type { TensorEntry } from "../files/tensor-index.ts";
import { type LowRank, type Rescale, spanBytes, spansOf } from "./weight-fill.ts";
import type { WeightJob } from "./weight-jobs.ts";
import { planForm, RangePlan, type WeightForm } from "./weight-plan.ts";
import { type PrepareProgress, runWeightJobs } from "./weight-workers.ts";
import { isRange, type StoredTensor } from "./weights.ts";

export interface DeriveOptions {
  /** Root of the package's cache. */
  readonly cacheFolder: string;
  /** What the bytes follow from. */
  readonly origin: PreparedOrigin;
  readonly formOf: (entry: TensorEntry, name: string) => WeightForm;
  /** What is added to weights, by tensor name. */
  readonly added?: ReadonlyMap<string, LowRank> | undefined;
  /** Factors by tensor name; asked for only when the weights are made. */
  readonly rescale?: (() => Promise<ReadonlyMap<string, Rescale>>) | undefined;
  readonly onProgress?: PrepareProgress | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Worker threads; see runWeightJobs. */
  readonly threads?: number | undefined;
}

/**
 * Weights in the form the runtime computes on, written once into the cache and found there the next time. They are whole
 * or not there at all; damaged ones are made again.
 * @throws CapacityError "disk-full"; InputError "aborted", and "bad-option" for a cache that cannot be written
 */
export async function deriveWeights(
  entries: ReadonlyMap<string, TensorEntry>,
  options: DeriveOptions,
): Promise<Map<string, StoredTensor>> {
  const place = preparedPlace(options.cacheFolder, options.origin);
  const known = await readPrepared(place.folder, options.signal);
  if (known) return tensorsIn(place.folder, known);
  const rescale = await options.rescale?.(); // before the lock: the runtime keeps the thread, so a lock would grow stale
  const { withLock } = await import("../files/lock.ts"); // only who prepares weights pays for the library
  try {
    const lock = { file: place.lock, purpose: "prepares the same weights", signal: options.signal };
    return await withLock(lock, async (signal) => {
      const write = (file: string) => writeDerived(entries, file, rescale, { ...options, signal });
      const made = (await readPrepared(place.folder, signal)) ?? makePrepared(place, options.origin, write, signal);
      return tensorsIn(place.folder, await made);
    });
  } catch (error) {
    const problem = unwritableCache(error, options.cacheFolder);
    if (problem !== undefined) throw new InputError("bad-option", problem, { cause: error });
    if (!isDiskFull(error)) throw error;
    const advice = "Free some space, or set ONEWORD_CACHE to a folder on another disk.";
    throw new CapacityError("disk-full", `${options.cacheFolder}: no room for the prepared weights. ${advice}`, {
      cause: error,
    });
  }
}

function tensorsIn(folder: string, { tensors }: PreparedManifest): Map<string, StoredTensor> {
  const file = weightsFile(folder);
  return new Map(tensors.map(([name, tensor]) => [name, placedIn(file, tensor as StoredTensor)]));
}

/** The same tensor with its ranges in `file`. */
function placedIn(file: string, tensor: StoredTensor): StoredTensor {
  if (tensor.kind === "dense") return { ...tensor, file };
  const parts = Object.entries(tensor).map(([key, part]) => [key, isRange(part) ? { ...part, file } : part]);
  return Object.fromEntries(parts) as StoredTensor;
}

/** Plans where everything will lie, then has the rows filled in. */
async function writeDerived(
  entries: ReadonlyMap<string, TensorEntry>,
  file: string,
  rescale: ReadonlyMap<string, Rescale> | undefined,
  options: DeriveOptions,
): Promise<[string, StoredTensor][]> {
  const plan = new RangePlan(file);
  const forms = [...entries].map(([name, entry]) => ({ name, entry, form: options.formOf(entry, name) }));
  const planned = forms.map((item) => ({ ...item, to: planForm(item.entry, item.form, plan) }));
  function* jobs(): Generator<WeightJob> {
    for (const { name, entry, form, to } of planned) {
      for (const span of spansOf(entry, options.added?.get(name))) {
        yield { kind: "fill", span, form, to, rescale: rescale?.get(name), output: file };
      }
    }
  }
  await writeFile(file, "");
  await truncate(file, plan.end);
  const totalBytes = [...entries.values()].reduce((sum, { length }) => sum + length, 0);
  const progress = { action: "preparing", file: `${options.origin.precision} weights`, totalBytes } as const;
  let receivedBytes = 0;
  await runWeightJobs(jobs(), {
    totalBytes,
    threads: options.threads,
    signal: options.signal,
    onDone: ({ span }) => {
      receivedBytes += spanBytes(span);
      options.onProgress?.({ ...progress, receivedBytes });
    },
  });
  return planned.map(({ name, to }) => [name, to]);
}
