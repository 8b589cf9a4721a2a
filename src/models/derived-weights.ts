import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CapacityError, InputError } from "../errors.ts";
import type { TensorEntry } from "../files/tensor-index.ts";
import { RangeWriter, type Rescale, type WeightForm, writeForm } from "./weight-forms.ts";
import type { FileRange, StoredTensor } from "./weights.ts";

/** Bump when the bytes this file writes change. */
const formatVersion = 2;

export interface DeriveOptions {
  /** Folder for derived weights. */
  readonly folder: string;
  /** What the bytes follow from: the model's identity, the precision and the way it is made. */
  readonly key: string;
  readonly formOf: (entry: TensorEntry, name: string) => WeightForm;
  /** Factors by tensor name; asked for only when the weights are made. */
  readonly rescale?: (() => Promise<ReadonlyMap<string, Rescale>>) | undefined;
  readonly onProgress?: ((progress: { file: string; receivedBytes: number; totalBytes?: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Weights in the form the runtime computes on, written once into a cache folder under the key and found there the next
 * time. A folder is complete or not there at all.
 */
export async function deriveWeights(
  entries: ReadonlyMap<string, TensorEntry>,
  options: DeriveOptions,
): Promise<Map<string, StoredTensor>> {
  const name = createHash("sha256").update(`${formatVersion}\n${options.key}`).digest("hex").slice(0, 32);
  const folder = join(options.folder, name);
  const known = await readDerived(folder);
  if (known) return known;
  const staging = join(options.folder, `.${name}.${randomUUID()}`);
  try {
    await mkdir(staging, { recursive: true });
    const tensors = await writeDerived(entries, join(staging, "weights.bin"), options);
    const bytes = (await stat(join(staging, "weights.bin"))).size;
    await writeFile(join(staging, "manifest.json"), JSON.stringify({ key: options.key, bytes, tensors: [...tensors] }));
    await rm(folder, { recursive: true, force: true }); // only ever a damaged one: readDerived refused it
    await rename(staging, folder).catch(async (error: unknown) => {
      if (!(await readDerived(folder))) throw error; // else another process was quicker
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") {
      throw new CapacityError(
        "disk-full",
        `${options.folder}: no room for the prepared weights. Free some space or set ONEWORD_CACHE.`,
      );
    }
    throw error;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return (await readDerived(folder))!;
}

async function readDerived(folder: string): Promise<Map<string, StoredTensor> | null> {
  try {
    const file = join(folder, "weights.bin");
    const { bytes, tensors } = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8")) as {
      bytes: number;
      tensors: [string, StoredTensor][];
    };
    if ((await stat(file)).size !== bytes) return null;
    return new Map(tensors.map(([name, tensor]) => [name, placedIn(file, tensor)]));
  } catch {
    return null; // not there, or damaged: it is made again
  }
}

/** The same tensor with its ranges in `file`. */
function placedIn(file: string, tensor: StoredTensor): StoredTensor {
  if (tensor.kind === "dense") return { ...tensor, file };
  const parts = Object.entries(tensor).map(([key, part]) => [key, isRange(part) ? { ...part, file } : part]);
  return Object.fromEntries(parts) as StoredTensor;
}

const isRange = (part: unknown): part is FileRange => typeof part === "object" && part !== null && "offset" in part;

async function writeDerived(
  entries: ReadonlyMap<string, TensorEntry>,
  file: string,
  options: DeriveOptions,
): Promise<Map<string, StoredTensor>> {
  const tensors = new Map<string, StoredTensor>();
  const rescale = await options.rescale?.();
  const output = new RangeWriter(await open(file, "w"), file);
  const totalBytes = [...entries.values()].reduce((sum, entry) => sum + entry.length, 0);
  let receivedBytes = 0;
  try {
    for (const [name, entry] of entries) {
      if (options.signal?.aborted) throw new InputError("aborted", "stopped while the weights were prepared.");
      tensors.set(name, await writeForm(entry, options.formOf(entry, name), output, rescale?.get(name)));
      receivedBytes += entry.length;
      options.onProgress?.({ file: "weights (prepared once)", receivedBytes, totalBytes });
    }
    await output.handle.sync();
  } finally {
    await output.handle.close();
  }
  return tensors;
}
