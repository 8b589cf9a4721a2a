import { type Command, InvalidArgumentError, Option } from "commander";
import { devices } from "../runtime/device.ts";
import { recipeNames } from "../text/named-recipes.ts";
import { templates } from "../text/templates.ts";
import { type TrainPrecision, trainDefaults, trainPrecisions } from "../train/options.ts";
import { append, parseLayer, parsePositive, parseWhole } from "./flags.ts";

/** Flags of `oneword train`; each may stand in the --config file instead, in camelCase. */
export interface TrainFlags {
  readonly data?: readonly string[];
  readonly output?: string;
  readonly dashboard?: string | true;
  readonly resume?: boolean;
  readonly config?: string;
  readonly model?: string;
  readonly recipe?: string;
  readonly template?: string;
  readonly demonstrations?: string;
  readonly layer?: number | "last";
  readonly precision?: TrainPrecision;
  readonly rank?: number;
  readonly alpha?: number;
  readonly dropout?: number;
  readonly target?: readonly string[];
  readonly temperature?: number;
  readonly batchSize?: number;
  readonly microBatchTokens?: number | "batch";
  readonly memory?: string;
  readonly maxSentenceTokens?: number;
  readonly learningRate?: number;
  readonly warmupSteps?: number;
  readonly epochs?: number;
  readonly maxSteps?: number;
  readonly maxGradNorm?: number;
  readonly seed?: number;
  readonly evalEvery?: number;
  readonly anchor?: string;
  readonly positive?: string;
  readonly hardNegative?: string;
  readonly source?: string;
  readonly excludeSource?: readonly string[];
  readonly skipBadRows?: boolean;
  readonly testData?: string;
  readonly device?: (typeof devices)[number];
  readonly threads?: number;
  readonly offline?: boolean;
  readonly quiet?: boolean;
}

const { columns, ...defaults } = trainDefaults;

export function addTrainFlags(command: Command): Command {
  return command
    .option("-d, --data <file>", "examples: .tsv, .csv, .jsonl, each perhaps .gz, or .parquet; repeatable", append)
    .option("-o, --output <folder>", "adapter, checkpoint and log go here")
    .option("--dashboard [file]", "an HTML page of the run as it goes (default: none; dashboard.html in --output)")
    .option(
      "--resume",
      "go on from the checkpoint in --output, if there is one (default: start, in a folder without a run)",
    )
    .option("--config <file>", "JSON object with these flags in camelCase; flags win over it")
    .option(
      "-m, --model <model>",
      `known name, folder, .gguf file or hub id (default: the recipe's, else ${defaults.model})`,
    )
    .option(
      "--recipe <file|name>",
      `JSON file with template, demonstrations, layer, cleanUp, or ${recipeNames.join(", ")}; flags win over it`,
    )
    .option(
      "--template <text>",
      `prompt with one {text} slot, or ${Object.keys(templates).join(", ")} (default: the recipe's, else eol)`,
    )
    .option("--demonstrations <file>", ".tsv or .jsonl with sentence and word: all of them go in front of the template")
    .option(
      "--layer <layer>",
      "hidden state that is trained: 1, 2 … or last (default: the recipe's, else last)",
      parseLayer,
    )
    .addOption(
      new Option("--precision <precision>", "how the frozen weights are held; nf4 is QLoRA (default: float32)").choices(
        trainPrecisions,
      ),
    )
    .option("--rank <count>", `rank of the adapter (default: ${defaults.rank})`, parsePositive)
    .option("--alpha <number>", `the adapter counts alpha / rank (default: ${defaults.alpha})`, parseOverZero)
    .option("--dropout <fraction>", `of the adapter's inputs (default: ${defaults.dropout})`, parseFraction)
    .option(
      "--target <name>",
      "linear weight to adapt, as q_proj; repeatable (default: all-linear, all but the output)",
      append,
    )
    .option("--temperature <number>", `divides the cosines (default: ${defaults.temperature})`, parseOverZero)
    .option("--batch-size <count>", `examples of one step (default: ${defaults.batchSize})`, parsePositive)
    .option(
      "--micro-batch-tokens <count>",
      `tokens of one run; bounds memory. batch: the whole batch in one, faster (default: ${defaults.microBatchTokens})`,
      (value) => (value === "batch" ? value : parsePositive(value)),
    )
    .option(
      "--memory <size>",
      "most resident memory, as 4GB or 800MB, instead of --micro-batch-tokens (default: no bound)",
    )
    .option(
      "--max-sentence-tokens <count>",
      `longer sentences are cut (default: ${defaults.maxSentenceTokens})`,
      parsePositive,
    )
    .option("--learning-rate <number>", `highest rate (default: ${defaults.learningRate})`, parseOverZero)
    .option("--warmup-steps <count>", `steps up to it, from 0 (default: ${defaults.warmupSteps})`, parseWhole)
    .option("--epochs <count>", `times over the examples (default: ${defaults.epochs})`, parsePositive)
    .option("--max-steps <count>", "end after so many steps (default: at the end of the epochs)", parsePositive)
    .option(
      "--max-grad-norm <number>",
      `longer gradients are scaled to it (default: ${defaults.maxGradNorm})`,
      parseOverZero,
    )
    .option("--seed <number>", `of order, start and dropout (default: ${defaults.seed})`, parseWhole)
    .option(
      "--eval-every <count>",
      `steps between two scores on STS-B dev (default: ${defaults.evalEvery})`,
      parsePositive,
    )
    .option("--anchor <column>", `column of the first text (default: ${columns.anchor})`)
    .option(
      "--positive <column>",
      `column of the text that belongs to it; that of the anchor itself for SimCSE by dropout (default: ${columns.positive})`,
    )
    .option("--hard-negative <column>", `column of the contradicting text, or none (default: ${columns.hardNegative})`)
    .option("--source <column>", "column that says where a row came from (default: source)")
    .option("--exclude-source <name>", "leave rows of this source out; repeatable (default: all rows)", append)
    .option("--skip-bad-rows", "leave wrong rows out and count them (default: stop at the first)")
    .option("--test-data <folder>", "warn of examples that are in these STS sets (default: what data pull fetched)")
    .addOption(new Option("--device <device>", "where to compute (default: cpu)").choices(devices))
    .option("--threads <count>", "threads of one operator (default: one for each physical core)", parsePositive)
    .option("--offline", "never touch the network (default: fetch a model that is not here)")
    .option("-q, --quiet", "nothing on standard error but errors (default: progress)");
}

const numberOf = (value: string): number => (value.trim() === "" ? Number.NaN : Number(value));

function parseOverZero(value: string): number {
  const number = numberOf(value);
  if (Number.isFinite(number) && number > 0) return number;
  throw new InvalidArgumentError("It must be a number over 0.");
}

function parseFraction(value: string): number {
  const number = numberOf(value);
  if (number >= 0 && number < 1) return number;
  throw new InvalidArgumentError("It must be a number from 0 and under 1.");
}
