import type { StreamedWords } from "../embed/embedding-model.ts";
import type { CliContext } from "./context.ts";
import { reportTruncated } from "./embed.ts";
import type { ModelFlags, TextFlags } from "./flags.ts";
import { embedOptions, loadModel } from "./load-model.ts";
import { writeTo } from "./stdout-sink.ts";
import { planTexts } from "./texts.ts";

export interface ExplainFlags extends ModelFlags, TextFlags {
  readonly count: number;
  readonly json?: boolean;
}

/** `oneword explain`: the words that each text's embedding means, the most probable first. */
export async function runExplain(texts: readonly string[], flags: ExplainFlags, context: CliContext): Promise<void> {
  const source = await planTexts(texts, flags, context);
  const { model } = await loadModel(flags, context);
  let truncatedTexts = 0;
  try {
    const options = { ...embedOptions(flags, context.signal), count: flags.count };
    for await (const explained of model.explainStream(source, options)) {
      await writeTo(context.stdout, `${lineOf(explained, flags)}\n`);
      if (explained.truncatedTokens > 0) truncatedTexts++;
    }
  } finally {
    await model.close();
  }
  if (truncatedTexts > 0 && !flags.quiet) reportTruncated(truncatedTexts, model, context);
}

const lineOf = ({ text, words }: StreamedWords, { json }: ExplainFlags): string =>
  json
    ? JSON.stringify({ text, words })
    : words.map(({ text: word, probability }) => `${shown(word)} ${(100 * probability).toFixed(1)} %`).join(" · ");

/** A token that is no plain word as JSON, so that spaces and line ends show. */
const shown = (word: string): string => (/^ ?[\p{L}\p{N}'-]+$/u.test(word) ? word.trim() : JSON.stringify(word));
