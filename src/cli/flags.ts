import { type Command, InvalidArgumentError, Option } from "commander";
import { defaultModel as packagedModel } from "../files/known-models.ts";
import { type Device, devices } from "../runtime/device.ts";
import { defaultBatchTokens } from "../text/batch.ts";
import { recipeNames } from "../text/named-recipes.ts";
import { type Precision, precisions } from "../text/recipe.ts";
import { templates } from "../text/templates.ts";

export const defaultModel: string = packagedModel.name;
/** The same with the adapter of the package: what vectors are made with where nothing else is asked for. */
const defaultEmbedder = "smollm2-135m-nli";

/** Flags that choose the model and what makes its vectors. */
export interface ModelFlags {
  readonly model?: string;
  readonly recipe?: string;
  readonly template?: string;
  readonly demonstrations?: string;
  readonly normalize?: boolean;
  readonly precision?: Precision;
  readonly adapter?: string;
  readonly layer?: number | "last";
  readonly device?: Device;
  readonly threads?: number;
  readonly workers?: number;
  readonly batchTokens?: number;
  readonly truncate?: boolean;
  readonly offline?: boolean;
  readonly quiet?: boolean;
}

/** The model of `embed`, `similarity` and `eval`: a recipe that is asked for is one for the model without an adapter. */
export function modelForVectors({ recipe, template, demonstrations, layer, adapter }: ModelFlags): string {
  const asked = [recipe, template, demonstrations, layer, adapter];
  return asked.every((value) => value === undefined) ? defaultEmbedder : defaultModel;
}

/** Flags that say where texts come from. */
export interface TextFlags {
  readonly file?: readonly string[];
  readonly field?: string;
  readonly jsonl?: boolean;
}

export function addModelFlags(command: Command): Command {
  return addRunFlags(addRecipeFlags(command)).option(
    "--truncate",
    "shorten a text that does not fit, and say how many were (default: an error)",
  );
}

/** Flags that say what is made of a text. */
function addRecipeFlags(command: Command): Command {
  return command
    .option(
      "--recipe <file|name>",
      `JSON file with template, demonstrations, layer …, or ${recipeNames.join(", ")}; flags win over it`,
    )
    .option(
      "--template <text>",
      `prompt with one {text} slot, or ${Object.keys(templates).join(", ")} (default: the recipe's, else eol)`,
    )
    .option("--demonstrations <file>", ".tsv or .jsonl with sentence and word: all of them go in front of the template")
    .option("--layer <layer>", "hidden state to read: 0 token embeddings, 1, 2 … or last (default: last)", parseLayer);
}

/** Flags that choose the model and how it is run. */
export function addRunFlags(command: Command): Command {
  return command
    .option(
      "-m, --model <model>",
      `known name, folder, .gguf file or hub id (default: the recipe's, else ${defaultModel}, or ${defaultEmbedder} where vectors are made and no recipe is asked for)`,
    )
    .addOption(
      new Option(
        "--precision <precision>",
        "weights as the file holds them, in another float type, or quantised (default: stored on the cpu, float16 on other devices)",
      ).choices(precisions),
    )
    .option("--adapter <folder>", "LoRA adapter in PEFT's form on the weights, with its recipe.json (default: none)")
    .addOption(
      new Option("--device <device>", "where to compute, if the installed runtime has it (default: cpu)").choices(
        devices,
      ),
    )
    .option("--threads <count>", "threads of one operator (default: one for each physical core)", parsePositive)
    .option(
      "--workers <count>",
      "threads that each hold the model and run it by themselves (default: one for each core for many texts, else 1)",
      parsePositive,
    )
    .option(
      "--batch-tokens <count>",
      `most tokens of one run of the model (default: ${defaultBatchTokens}); less takes less memory`,
      parsePositive,
    )
    .option("--offline", "never touch the network (default: fetch a model that is not here)")
    .option("-q, --quiet", "nothing on standard error but errors (default: progress, summary, hints)");
}

export function addTextFlags(command: Command): Command {
  return command
    .option(
      "-f, --file <file>",
      "read texts from a file, one a line, after the arguments; repeatable, - is stdin",
      append,
    )
    .option("--jsonl", "files and stdin are JSONL (default: by the extension .jsonl or .ndjson)")
    .option("--field <name>", 'field of the text in JSONL; implies --jsonl (default: "text")');
}

export function append(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

/** A whole number over 0. */
export function parsePositive(value: string): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && Number.isSafeInteger(number) && number > 0) return number;
  throw new InvalidArgumentError("It must be a whole number over 0.");
}

export function parseWhole(value: string): number {
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new InvalidArgumentError("It must be a whole number from 0.");
}

export function parseLayer(value: string): number | "last" {
  if (value === "last") return value;
  if (/^\d{1,6}$/.test(value)) return Number(value);
  throw new InvalidArgumentError("It must be last or a whole number from 0.");
}

/** A source and a count out of `source=count`. */
export function parseTake(
  value: string,
  previous: readonly (readonly [string, number])[] = [],
): (readonly [string, number])[] {
  const [, source, count] = /^(.+)=(\d{1,9})$/.exec(value) ?? [];
  if (source === undefined || Number(count) === 0) {
    throw new InvalidArgumentError("It must be a source and a whole number over 0, as snli-dev=1900.");
  }
  if (previous.some(([earlier]) => earlier === source)) {
    throw new InvalidArgumentError(`The source ${source} is named twice; give it once, with all its rows.`);
  }
  return [...previous, [source, Number(count)]];
}
