import { tsvLine } from "../files/tsv.ts";
import { proposeWords } from "../recipes/proposed-words.ts";
import { type PartOfSpeech, partsOfSpeech, wordNetDemonstrations, wordNetFolder } from "../recipes/wordnet.ts";
import type { Demonstration } from "../text/recipe.ts";
import type { CliContext } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { embedOptions, loadModel } from "./load-model.ts";
import type { CandidateFlags } from "./recipe-flags.ts";
import { writeTo } from "./stdout-sink.ts";
import { readAllTexts } from "./texts.ts";

/** `oneword recipe candidates`: sentences with their word, tab-separated, as `recipe search --candidates` takes them. */
export async function runRecipeCandidates(flags: CandidateFlags, context: CliContext): Promise<void> {
  if ((flags.wordnet === undefined) === (flags.texts === undefined)) {
    throw new UsageError("say where candidates come from: --wordnet or --texts <file>, one of them.");
  }
  const found = flags.texts === undefined ? await fromWordNet(flags) : await fromTexts(flags.texts, flags, context);
  const rows = [["sentence", "word"], ...found.map(({ sentence, word }) => [sentence, word])];
  await writeTo(context.stdout, rows.map(tsvLine).join(""));
}

async function fromWordNet({ wordnet, pos = [], count }: CandidateFlags): Promise<Demonstration[]> {
  const folder = typeof wordnet === "string" ? wordnet : wordNetFolder();
  const wrong = pos.find((name) => !partsOfSpeech.some((known) => known === name));
  if (wrong !== undefined) throw new UsageError(`--pos ${wrong}: parts of speech are ${partsOfSpeech.join(", ")}.`);
  return wordNetDemonstrations({ folder, partsOfSpeech: pos as PartOfSpeech[], count });
}

async function fromTexts(file: string, flags: CandidateFlags, context: CliContext): Promise<Demonstration[]> {
  const texts = (await readAllTexts(file, context)).filter((text) => text.trim() !== "").slice(0, flags.count);
  const { model } = await loadModel(flags, context);
  try {
    return await proposeWords(model, texts, { ...embedOptions(flags, context.signal), truncate: true });
  } finally {
    await model.close();
  }
}
