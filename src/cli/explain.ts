import { textWindows } from "../embed/text-windows.ts";
import type { Word } from "../embed/top-words.ts";
import type { CliContext } from "./context.ts";
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
  try {
    for await (const { texts: window, indexes } of textWindows(source, callTexts)) {
      const options = { ...embedOptions(flags, context.signal), count: flags.count, indexes };
      const explained = await model.explain(window, options);
      const lines = window.map((text, i) => lineOf(text, explained[i]!, flags));
      await writeTo(context.stdout, `${lines.join("\n")}\n`);
    }
  } finally {
    await model.close();
  }
}

/** Of one call: few enough that the first ones are soon there. */
const callTexts = 64;

const lineOf = (text: string, words: readonly Word[], { json }: ExplainFlags): string =>
  json
    ? JSON.stringify({ text, words })
    : words.map(({ text: word, probability }) => `${shown(word)} ${(100 * probability).toFixed(1)} %`).join(" · ");

/** A token that is no plain word as JSON, so that spaces and line ends show. */
const shown = (word: string): string => (/^ ?[\p{L}\p{N}'-]+$/u.test(word) ? word.trim() : JSON.stringify(word));
