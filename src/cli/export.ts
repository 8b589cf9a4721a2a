import { exportModel } from "../export/export-model.ts";
import type { ExportFormat } from "../export/formats.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { defaultModel } from "./flags.ts";
import { downloadProgress } from "./progress.ts";
import { writeTo } from "./stdout-sink.ts";

export interface ExportFlags {
  readonly model?: string;
  readonly adapter?: string;
  readonly output?: string;
  readonly format: ExportFormat;
  readonly dtype: "float16" | "float32";
  readonly layer?: number | "last";
  readonly template?: string;
  readonly offline?: boolean;
}

/** `oneword export`: a model for others, an adapter merged into it. Prints where it is. */
export async function runExport(flags: ExportFlags, context: CliContext): Promise<void> {
  if (flags.output === undefined)
    throw new UsageError("--output is missing: a folder for the model, or for gguf a file.");
  const { model = defaultModel, adapter, output, format, dtype, layer, template, offline } = flags;
  const downloads = downloadProgress(context, false);
  await exportModel({
    model,
    output,
    format,
    dtype,
    recipe: { ...(layer === undefined ? {} : { layer }), ...(template === undefined ? {} : { template }) },
    signal: context.signal,
    onProgress: downloads.onProgress,
    adapter,
    offline,
  }).finally(() => downloads.stop());
  await writeTo(context.stdout, `${output}\n`);
}
