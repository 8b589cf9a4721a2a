import { Argument, Command, Option } from "commander";
import { exportFormats } from "../export/formats.ts";
import { packageVersion } from "../files/package-version.ts";
import { vectorFormats } from "../files/vector-writer.ts";
import type { CompareFlags } from "./compare.ts";
import type { CliContext, CliDependencies } from "./context.ts";
import type { DataMixFlags, DataPullFlags, DataTextsFlags, DataTriplesFlags } from "./data.ts";
import { type EmbedFlags, runEmbed } from "./embed.ts";
import { addEvalFlags, type EvalFlags } from "./eval-flags.ts";
import { exitCodeHelp, exitCodes } from "./exit-codes.ts";
import type { ExplainFlags } from "./explain.ts";
import type { ExportFlags } from "./export.ts";
import {
  addModelFlags,
  addTextFlags,
  defaultModel,
  parseLayer,
  parsePositive,
  parseTake,
  parseWhole,
} from "./flags.ts";
import { listenForInterrupt } from "./interrupt.ts";
import { matrixFormats } from "./matrix.ts";
import { type ModelsFlags, runModels } from "./models.ts";
import { type PullFlags, runPull } from "./pull.ts";
import { addRecipe } from "./recipe-program.ts";
import { reportError, reportStop } from "./report-error.ts";
import { runSimilarity, type SimilarityFlags } from "./similarity.ts";
import { addTrainFlags, type TrainFlags } from "./train-flags.ts";

/**
 * Runs one command line, without the program's own name in front.
 * @returns the exit code; whatever was thrown is on stderr as one line
 */
export async function runCli(args: readonly string[], dependencies: CliDependencies): Promise<number> {
  const { stdout, stderr, signals, env } = dependencies;
  const ignoreError = (): void => {}; // a failed write is seen where it is awaited; the event would end the process
  stdout.on("error", ignoreError);
  stderr.on("error", ignoreError);
  const interrupt = listenForInterrupt(signals);
  try {
    await buildProgram({ ...dependencies, signal: interrupt.signal }).parseAsync(args, { from: "user" });
    return exitCodes.done;
  } catch (error) {
    const stopped = interrupt.exitCode();
    if (stopped !== undefined) {
      stderr.write(reportStop(stopped, error));
      return stopped;
    }
    const { exitCode, text } = reportError(error, env);
    if (text !== "") stderr.write(text);
    return exitCode;
  } finally {
    interrupt.stopListening();
  }
}

function buildProgram(context: CliContext): Command {
  const program = new Command("oneword")
    .description("Sentence embeddings from decoder language models.")
    .version(packageVersion(), "-V, --version", "print the version")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      outputError: () => {}, // thrown as a CommanderError and reported there
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText("after", `\nExample:\n  $ oneword embed "A jockey riding a horse."\n${exitCodeHelp}`);
  addEmbed(program, context);
  addSimilarity(program, context);
  addEval(program, context);
  addCompare(program, context);
  addData(program, context);
  addTrain(program, context);
  addExport(program, context);
  addRecipe(program, context);
  addExplain(program, context);
  addPull(program, context);
  addModels(program, context);
  return program;
}

function addEmbed(program: Command, context: CliContext): void {
  const command = program
    .command("embed")
    .description(
      "One embedding for each text, in order. Texts are the arguments, then the lines of each --file; standard input " +
        "when there is neither. An empty line is a text too: it embeds the template alone.",
    )
    .argument("[text...]", "texts; after -- they may begin with a dash");
  addTextFlags(command)
    .option("-o, --output <file>", "write here, whole or not at all, over what is there (default: standard output)")
    .addOption(
      new Option("--format <format>", "npy and parquet need --output (default: by its extension, else jsonl)").choices(
        vectorFormats,
      ),
    );
  addModelFlags(command)
    .option("--normalize", "scale every vector to length 1 (default: the recipe's, which is not to)")
    .option("--no-normalize", "leave lengths alone, whatever the recipe says")
    .addHelpText(
      "after",
      `
Examples:
  $ oneword embed "A jockey riding a horse."
  $ oneword embed --file sentences.txt --normalize --output vectors.npy
  $ zcat reviews.jsonl.gz | oneword embed --jsonl --field review > vectors.jsonl
${exitCodeHelp}`,
    )
    .action((texts: string[], flags: EmbedFlags) => runEmbed(texts, flags, context));
}

function addSimilarity(program: Command, context: CliContext): void {
  const command = program
    .command("similarity")
    .description(
      "The cosine of two texts, alone on standard output; of more texts or of files, the matrix of all pairs.",
    )
    .argument("[text...]", "texts; after -- they may begin with a dash");
  addTextFlags(command).addOption(
    new Option("--format <format>", "print a matrix as aligned text, tsv or json (default: text)").choices(
      matrixFormats,
    ),
  );
  addModelFlags(command)
    .addHelpText(
      "after",
      `
Examples:
  $ oneword similarity "A jockey riding a horse." "A man on a horse."
  $ oneword similarity --file sentences.txt --format tsv > matrix.tsv
${exitCodeHelp}`,
    )
    .action((texts: string[], flags: SimilarityFlags) => runSimilarity(texts, flags, context));
}

function addEval(program: Command, context: CliContext): void {
  const command = program
    .command("eval")
    .description(
      "How good a model with a recipe is: Spearman x 100 on sentence similarity sets, accuracy of classifiers on its " +
        "vectors. A table on standard output.",
    );
  addModelFlags(addEvalFlags(command))
    .addHelpText(
      "after",
      `
Examples:
  $ oneword eval --tasks stsb-dev --save plain.json
  $ oneword eval --tasks stsb-dev --template pretendedCot --compare plain.json --report report.html
${exitCodeHelp}`,
    )
    .action(async (flags: EvalFlags) => (await import("./eval.ts")).runEval(flags, context));
}

function addCompare(program: Command, context: CliContext): void {
  program
    .command("compare")
    .description("Compare runs that oneword eval --save wrote: is one really better? With 95 % bootstrap intervals.")
    .argument("<run...>", "two or more saved runs; the others are compared with the first")
    .option("--report <file>", "write an HTML report of them (default: no file)")
    .addHelpText(
      "after",
      `\nExample:\n  $ oneword compare plain.json better.json --report report.html\n${exitCodeHelp}`,
    )
    .action(async (files: string[], flags: CompareFlags) =>
      (await import("./compare.ts")).runCompare(files, flags, context),
    );
}

function addData(program: Command, context: CliContext): void {
  const data = program
    .command("data")
    .description("Evaluation sets: fetch them, or print their texts; training data out of NLI files.");
  data
    .command("pull")
    .description("Fetch the sets of a kind from the hub, and print the folder that eval --data takes.")
    .addArgument(new Argument("<kind>", "SentEval's archive has both kinds").choices(["sts", "transfer"]))
    .addOption(
      new Option("--source <source>", "SentEval's copies, or mteb's STS sets in their original spelling")
        .choices(["senteval", "mteb"])
        .default("senteval"),
    )
    .option("-q, --quiet", "nothing on standard error but errors (default: progress)")
    .addHelpText("after", `\nExample:\n  $ oneword data pull sts\n${exitCodeHelp}`)
    .action(async (kind: "sts" | "transfer", flags: DataPullFlags) =>
      (await import("./data.ts")).runDataPull(kind, flags, context),
    );
  data
    .command("texts")
    .description("Print the distinct texts of some tasks, one a line: what eval --vectors wants vectors of, in order.")
    .option("--tasks <list>", "sts, transfer, all, or sets by name with commas between", "sts")
    .option("--data <folder>", "folder with the sets (default: what oneword data pull fetched)")
    .addHelpText("after", `\nExample:\n  $ oneword data texts --tasks stsb-dev > texts.txt\n${exitCodeHelp}`)
    .action(async (flags: DataTextsFlags) => (await import("./data.ts")).runDataTexts(flags, context));
  data
    .command("triples")
    .description("Training data out of NLI files: each premise with a hypothesis it entails and one it contradicts.")
    .argument("<file...>", ".tsv, .csv, .jsonl, each perhaps .gz, or .parquet")
    .option("--premise <column>", "column of the premise", "premise")
    .option("--hypothesis <column>", "column of the hypothesis", "hypothesis")
    .option("--label <column>", "column of entailment, contradiction (or e, c; 0, 2); others are left out", "label")
    .option("-q, --quiet", "nothing on standard error but errors (default: counts)")
    .addHelpText(
      "after",
      `\nExample:\n  $ oneword data triples snli.jsonl --label gold_label > triples.tsv\n${exitCodeHelp}`,
    )
    .action(async (files: string[], flags: DataTriplesFlags) =>
      (await import("./data.ts")).runDataTriples(files, flags, context),
    );
  data
    .command("mix")
    .description("Training data out of several files: a sample of each source, triples and pairs in one random order.")
    .argument("<file...>", "with the columns source, and sent0, sent1, hard_neg or sentence1, sentence2")
    .option("--take <source=count>", "rows to take of a source; repeatable", parseTake)
    .option("--seed <number>", "of the sample and the order", parseWhole, 42)
    .addHelpText(
      "after",
      `\nExample:\n  $ oneword data mix triples.tsv.gz pairs.tsv.gz --take snli-dev=1900 --take wmt-refs=2000 > mix.tsv\n${exitCodeHelp}`,
    )
    .action(async (files: string[], flags: DataMixFlags) =>
      (await import("./data.ts")).runDataMix(files, flags, context),
    );
}

function addTrain(program: Command, context: CliContext): void {
  const command = program
    .command("train")
    .description("Train a LoRA adapter on examples: texts, one that belongs to each, perhaps one that contradicts it.");
  addTrainFlags(command)
    .addHelpText(
      "after",
      `
Example:
  $ oneword train --data triples.tsv.gz --output adapter --batch-size 64 --micro-batch-tokens batch
${exitCodeHelp}`,
    )
    .action(async (flags: TrainFlags) => (await import("./train.ts")).runTrain(flags, context));
}

function addExplain(program: Command, context: CliContext): void {
  const command = program
    .command("explain")
    .description("The words that a text's embedding means: what the model would say next, and how probable it is.")
    .argument("[text...]", "texts; after -- they may begin with a dash");
  addTextFlags(command)
    .option("--count <count>", "words for each text", parsePositive, 10)
    .option("--json", "print a JSON object for each text (default: one readable line)");
  addModelFlags(command)
    .addHelpText("after", `\nExample:\n  $ oneword explain "A jockey riding a horse."\n${exitCodeHelp}`)
    .action(async (texts: string[], flags: ExplainFlags) =>
      (await import("./explain.ts")).runExplain(texts, flags, context),
    );
}

function addExport(program: Command, context: CliContext): void {
  program
    .command("export")
    .description(
      "Write a model for transformers, sentence-transformers or llama.cpp, an adapter merged into its weights.",
    )
    .option("-o, --output <path>", "the model goes here: a folder, or for gguf a file")
    .addOption(
      new Option(
        "--format <format>",
        "a folder for transformers, or with pooling and template for sentence-transformers; or one GGUF file",
      )
        .choices(exportFormats)
        .default("safetensors"),
    )
    .addOption(new Option("--dtype <type>", "of the weights").choices(["float16", "float32"]).default("float16"))
    .option("-m, --model <model>", `known name, folder, .gguf file or hub id (default: ${defaultModel})`)
    .option("--adapter <folder>", "LoRA adapter to merge, with its recipe.json (default: none)")
    .option("--template <text>", "template of sentence-transformers (default: the adapter's, else eol)")
    .option("--layer <layer>", "layer at which the model ends (default: the adapter's, else last)", parseLayer)
    .option("--offline", "never touch the network (default: fetch a model that is not here)")
    .addHelpText(
      "after",
      `\nExample:\n  $ oneword export --adapter adapter --format sentence-transformers --output model\n${exitCodeHelp}`,
    )
    .action(async (flags: ExportFlags) => (await import("./export.ts")).runExport(flags, context));
}

function addPull(program: Command, context: CliContext): void {
  program
    .command("pull")
    .description("Fetch a model unless it is here, and print its path.")
    .argument("<model>", "known name, hub id, folder or .gguf file")
    .option("--offline", "only look on this machine (default: fetch)")
    .option("-q, --quiet", "nothing on standard error but errors (default: progress)")
    .addHelpText("after", `\nExample:\n  $ oneword pull facebook/opt-125m\n${exitCodeHelp}`)
    .action((model: string, flags: PullFlags) => runPull(model, flags, context));
}

function addModels(program: Command, context: CliContext): void {
  program
    .command("models")
    .description("List the models on this machine and the weights prepared from them: name, size, source, path.")
    .option("--json", "print a JSON array, sizes in bytes (default: a table)")
    .option("--prune", "remove what no model here can use, and list that instead (default: remove nothing)")
    .addHelpText("after", `\nExamples:\n  $ oneword models\n  $ oneword models --prune\n${exitCodeHelp}`)
    .action((flags: ModelsFlags) => runModels(flags, context));
}
