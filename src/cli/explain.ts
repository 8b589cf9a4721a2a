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
    for await (const text of source) {
      const [words] = await model.explain([text], { ...embedOptions(flags, context.signal), count: flags.count });
      const line = flags.json
        ? JSON.stringify({ text, words })
        : words!.map(({ text: word, probability }) => `${shown(word)} ${(100 * probability).toFixed(1)} %`).join(" · ");
      await writeTo(context.stdout, `${line}\n`);
    }
  } finally {
    await model.close();
  }
}

/** A token that is no plain word as JSON, so that spaces and line ends show. */
const shown = (word: string): string => (/^ ?[\p{L}\p{N}'-]+$/u.test(word) ? word.trim() : JSON.stringify(word));
