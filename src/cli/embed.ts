import type { EmbeddingModel } from "../embed/embedding-model.ts";
import { openOutputFile } from "../files/output-file.ts";
import type { ByteSink } from "../files/row-buffer.ts";
import {
  createVectorWriter,
  formatOfFile,
  needsFile,
  type VectorFormat,
  type VectorWriter,
  vectorFormats,
} from "../files/vector-writer.ts";
import type { CliContext } from "./context.ts";
import { OutputClosed, UsageError } from "./exit-codes.ts";
import { type ModelFlags, modelForVectors, type TextFlags } from "./flags.ts";
import { embedOptions, loadModel } from "./load-model.ts";
import { readAhead } from "./many-texts.ts";
import { counted, EmbedProgress } from "./progress.ts";
import { stdoutSink } from "./stdout-sink.ts";
import { hintAtFiles, planTexts } from "./texts.ts";

export interface EmbedFlags extends ModelFlags, TextFlags {
  readonly output?: string;
  readonly format?: VectorFormat;
}

/** `oneword embed`: texts in, one row of numbers for each out, in the same order and in constant memory. */
export async function runEmbed(texts: readonly string[], flags: EmbedFlags, context: CliContext): Promise<void> {
  const format = chooseFormat(flags);
  const source = await planTexts(texts, flags, context);
  if (!flags.quiet) hintAtFiles(texts, context);
  const sink = flags.output === undefined ? stdoutSink(context.stdout) : await openOutputFile(flags.output);
  try {
    if (format === "npy" && !sink.patch) {
      throw new UsageError(
        `--output ${flags.output}: npy is completed at its beginning, so it cannot go into a pipe. Name a file.`,
      );
    }
    const { areMany, texts: read } = await readAhead(source);
    const { model, loaded } = await loadModel(flags, context, { model: modelForVectors(flags), hasManyTexts: areMany });
    try {
      await embedInto(sink, format, model, read, { flags, context, loaded });
    } finally {
      await model.close();
    }
  } finally {
    await sink.discard();
  }
}

interface EmbedRun {
  readonly flags: EmbedFlags;
  readonly context: CliContext;
  readonly loaded: string;
}

async function embedInto(
  sink: ByteSink,
  format: VectorFormat,
  model: EmbeddingModel,
  source: AsyncIterable<string>,
  { flags, context, loaded }: EmbedRun,
): Promise<void> {
  const origin = { model: model.recipe.model, recipeId: model.recipeId, recipe: JSON.stringify(model.recipe) };
  const writer = await createVectorWriter(format, sink, model.hiddenSize, origin);
  const progress = new EmbedProgress(context, flags.quiet === true);
  let truncatedTexts = 0;
  try {
    for await (const { embedding, truncatedTokens } of model.embedStream(source, embedOptions(flags, context.signal))) {
      await writer.write(embedding);
      if (truncatedTokens > 0) truncatedTexts++;
      progress.add();
      context.signal.throwIfAborted();
    }
    context.signal.throwIfAborted();
    await writer.end();
  } catch (error) {
    progress.clear();
    if (!(error instanceof OutputClosed)) await keepWholeRows(writer);
    throw error;
  }
  progress.summarize(loaded);
  if (truncatedTexts > 0 && !flags.quiet) reportTruncated(truncatedTexts, model, context);
}

/** Rows before a failure are good; the failure that matters is the one being reported already. */
async function keepWholeRows(writer: VectorWriter): Promise<void> {
  await writer.flush().catch(() => {});
}

/** The count of texts that `--truncate` shortened. */
export function reportTruncated(count: number, model: EmbeddingModel, { stderr }: CliContext): void {
  stderr.write(`${counted(count, "sentence")} shortened to fit ${counted(model.maxTokens, "token")}\n`);
}

function chooseFormat({ format, output }: EmbedFlags): VectorFormat {
  const chosen = format ?? (output === undefined ? "jsonl" : formatOfFile(output));
  if (chosen === undefined) {
    throw new UsageError(`--output ${output}: its extension names no format. Add --format ${vectorFormats.join("|")}.`);
  }
  if (output === undefined && needsFile(chosen)) {
    throw new UsageError(`--format ${chosen} is binary and needs a file: add --output vectors.${chosen}.`);
  }
  return chosen;
}
