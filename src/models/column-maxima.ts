import type { TensorEntry } from "../files/tensor-index.ts";
import { spansOf } from "./weight-fill.ts";
import type { WeightJob } from "./weight-jobs.ts";
import { type RunOptions, runWeightJobs } from "./weight-workers.ts";

/**
 * Largest |w| of each column of some weights.
 * @returns by the entry, [in]
 */
export async function columnMaxima(
  entries: Iterable<TensorEntry>,
  options: Pick<RunOptions, "threads" | "signal"> = {},
): Promise<Map<TensorEntry, Float32Array>> {
  const unique = new Set(entries);
  function* jobs(): Generator<WeightJob> {
    for (const entry of unique) for (const span of spansOf(entry)) yield { kind: "maxima", span };
  }
  const maxima = new Map<TensorEntry, Float32Array>();
  const totalBytes = [...unique].reduce((sum, { length }) => sum + length, 0);
  await runWeightJobs(jobs(), {
    ...options,
    totalBytes,
    onDone: ({ span: { entry } }, result) => {
      const seen = maxima.get(entry);
      maxima.set(entry, seen?.map((value, i) => Math.max(value, result![i]!)) ?? result!);
    },
  });
  return maxima;
}
