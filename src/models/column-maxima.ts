import type { TensorEntry } from "../files/tensor-index.ts";
import { type LowRank, spanBytes, spansOf } from "./weight-fill.ts";
import type { WeightJob } from "./weight-jobs.ts";
import { type PrepareProgress, type RunOptions, runWeightJobs } from "./weight-workers.ts";

export interface MaximaOptions extends Pick<RunOptions, "threads" | "signal"> {
  readonly addedTo?: ((entry: TensorEntry) => LowRank | undefined) | undefined;
  readonly onProgress?: PrepareProgress | undefined;
}

/**
 * Largest |w| of each column of some weights.
 * @returns by the entry, [in]
 */
export async function columnMaxima(
  entries: Iterable<TensorEntry>,
  { onProgress, addedTo, ...options }: MaximaOptions = {},
): Promise<Map<TensorEntry, Float32Array>> {
  const unique = new Set(entries);
  function* jobs(): Generator<WeightJob> {
    for (const entry of unique) for (const span of spansOf(entry, addedTo?.(entry))) yield { kind: "maxima", span };
  }
  const maxima = new Map<TensorEntry, Float32Array>();
  let receivedBytes = 0;
  const totalBytes = [...unique].reduce((sum, { length }) => sum + length, 0);
  await runWeightJobs(jobs(), {
    ...options,
    totalBytes,
    onDone: ({ span }, result) => {
      const { entry } = span;
      const seen = maxima.get(entry);
      maxima.set(entry, seen?.map((value, i) => Math.max(value, result![i]!)) ?? result!);
      receivedBytes += spanBytes(span);
      onProgress?.({ action: "measuring", file: "weights", receivedBytes, totalBytes });
    },
  });
  return maxima;
}
