import { closeSync, openSync } from "node:fs";
import { fillSpan, type Rescale, type RowSpan, spanMaxima } from "./weight-fill.ts";
import type { WeightForm } from "./weight-plan.ts";
import type { StoredTensor } from "./weights.ts";

/** A piece of work on some rows of a weight, plain data that a worker thread can be sent. */
export type WeightJob =
  | {
      readonly kind: "fill";
      readonly span: RowSpan;
      readonly form: WeightForm;
      readonly to: StoredTensor;
      readonly rescale: Rescale | undefined;
      /** The file that `to` lies in; it must be there. */
      readonly output: string;
    }
  | { readonly kind: "maxima"; readonly span: RowSpan };

/** Largest |w| of each column of the rows, for a job of that kind. */
export type WeightJobResult = Float32Array | null;

/** Does jobs one after the other and keeps their files open in between. */
export class JobRunner {
  readonly #descriptors = new Map<string, number>();

  run(job: WeightJob): WeightJobResult {
    const input = this.#open(job.span.entry.file, "r");
    if (job.kind === "maxima") return spanMaxima(job.span, input);
    const { span, form, to, rescale } = job;
    fillSpan(span, form, to, { input, output: this.#open(job.output, "r+") }, rescale);
    return null;
  }

  close(): void {
    for (const descriptor of this.#descriptors.values()) closeSync(descriptor);
    this.#descriptors.clear();
  }

  #open(file: string, flags: "r" | "r+"): number {
    const descriptor = this.#descriptors.get(file) ?? openSync(file, flags);
    this.#descriptors.set(file, descriptor);
    return descriptor;
  }
}
