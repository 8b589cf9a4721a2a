import type { EmbeddingModel } from "../embed/embedding-model.ts";
import { cosineSimilarity } from "../embed/pooling.ts";
import { checkFinite } from "../files/vector-writer.ts";
import type { CliContext } from "./context.ts";
import { reportTruncated } from "./embed.ts";
import { UsageError } from "./exit-codes.ts";
import { type ModelFlags, modelForVectors, type TextFlags } from "./flags.ts";
import { embedOptions, loadModel } from "./load-model.ts";
import { cosineText, type EmbeddedText, type MatrixFormat, matrixText } from "./matrix.ts";
import { EmbedProgress } from "./progress.ts";
import { writeTo } from "./stdout-sink.ts";
import { hintAtFiles, planTexts } from "./texts.ts";

export interface SimilarityFlags extends ModelFlags, TextFlags {
  readonly format?: MatrixFormat;
}

/** More texts than this make a matrix that no one reads, and a row each of them in memory. */
const maxTexts = 10_000;

/** `oneword similarity`: the cosine of two texts, or the matrix of all pairs. */
export async function runSimilarity(
  texts: readonly string[],
  flags: SimilarityFlags,
  context: CliContext,
): Promise<void> {
  const isPair = texts.length === 2 && flags.file === undefined && flags.format === undefined;
  if (texts.length === 1 && flags.file === undefined) throw tooFewTexts(1);
  const source = await planTexts(texts, flags, context);
  if (!flags.quiet) hintAtFiles(texts, context);
  const { model, loaded } = await loadModel(flags, context, { model: modelForVectors(flags) });
  try {
    const rows = await embedAll(source, model, { flags, context, loaded });
    if (rows.length < 2) throw tooFewTexts(rows.length);
    if (isPair)
      await writeTo(context.stdout, `${cosineText(cosineSimilarity(rows[0]!.embedding, rows[1]!.embedding))}\n`);
    else for await (const part of matrixText(rows, flags.format ?? "text")) await writeTo(context.stdout, part);
  } finally {
    await model.close();
  }
}

const tooFewTexts = (count: number): UsageError =>
  new UsageError(
    `${count === 0 ? "no text" : "one text alone"} has no similarity. Give at least two, or a --file of them.`,
  );

async function embedAll(
  source: AsyncIterable<string>,
  model: EmbeddingModel,
  { flags, context, loaded }: { flags: SimilarityFlags; context: CliContext; loaded: string },
): Promise<EmbeddedText[]> {
  const progress = new EmbedProgress(context, flags.quiet === true);
  const texts: string[] = [];
  const rows: EmbeddedText[] = [];
  let truncatedTexts = 0;
  try {
    const stream = model.embedStream(remembered(source, texts), embedOptions(flags, context.signal));
    for await (const { index, embedding, truncatedTokens } of stream) {
      checkFinite(embedding, index);
      rows.push({ text: texts[index]!, embedding });
      if (truncatedTokens > 0) truncatedTexts++;
      progress.add();
      context.signal.throwIfAborted();
    }
    context.signal.throwIfAborted();
  } finally {
    progress.clear();
  }
  progress.summarize(loaded);
  if (truncatedTexts > 0 && !flags.quiet) reportTruncated(truncatedTexts, model, context);
  return rows;
}

async function* remembered(source: AsyncIterable<string>, texts: string[]): AsyncGenerator<string, void, undefined> {
  for await (const text of source) {
    if (texts.length === maxTexts) {
      throw new UsageError(
        `more than ${maxTexts.toLocaleString("en-US")} texts make no matrix. Write vectors with oneword embed.`,
      );
    }
    texts.push(text);
    yield text;
  }
}
