import { writeFile } from "node:fs/promises";
import type { TensorEntry } from "../src/files/tensor-index.ts";
import { spansOf } from "../src/models/weight-fill.ts";
import { JobRunner } from "../src/models/weight-jobs.ts";
import { planForm, RangePlan, type WeightForm } from "../src/models/weight-plan.ts";
import type { StoredTensor } from "../src/models/weights.ts";

/** One tensor in another form, in a file of its own: what deriveWeights does with a whole checkpoint. */
export async function writeForm(entry: TensorEntry, form: WeightForm, output: string): Promise<StoredTensor> {
  await writeFile(output, "");
  const to = planForm(entry, form, new RangePlan(output));
  const runner = new JobRunner();
  for (const span of spansOf(entry)) runner.run({ kind: "fill", span, form, to, rescale: undefined, output });
  runner.close();
  return to;
}
