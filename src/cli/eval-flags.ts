import type { Command } from "commander";
import { Option } from "commander";
import { append, type ModelFlags } from "./flags.ts";

const runFormats = ["table", "json"] as const;

export interface EvalFlags extends ModelFlags {
  readonly tasks: string;
  readonly data?: string;
  readonly mode: "full" | "fast";
  readonly format: (typeof runFormats)[number];
  readonly name?: string;
  readonly save?: string;
  readonly report?: string;
  readonly compare?: readonly string[];
  readonly mteb?: string;
  readonly cache: boolean;
  readonly endpoint?: string;
  readonly endpointModel?: string;
  readonly vectors?: string;
}

/** Flags that say what is measured, on whose vectors, and where the results go. */
export function addEvalFlags(command: Command): Command {
  return command
    .option("--tasks <list>", "sts, transfer, all, or sets by name with commas between", "sts")
    .option("--data <folder>", "folder with the sets, ours or SentEval's (default: what oneword data pull fetched)")
    .addOption(
      new Option("--mode <mode>", "how transfer classifiers are trained: as the literature, or quicker")
        .choices(["full", "fast"])
        .default("full"),
    )
    .addOption(new Option("--format <format>", "what goes to standard output").choices(runFormats).default("table"))
    .option("--name <name>", "what tables call this run (default: the model and what is special in its recipe)")
    .option("--save <file>", "write the run as JSON, for comparisons (default: no file)")
    .option("--compare <run>", "a saved run to compare with; repeatable (default: none)", append)
    .option("--report <file>", "write an HTML report of this run and those of --compare (default: no file)")
    .option("--mteb <folder>", "write STS results in mteb's form below this folder (default: no file)")
    .option("--no-cache", "neither use nor keep vectors on disk (default: keep them, by recipe and text)")
    .option("--endpoint <url>", "take vectors from a server's /v1/embeddings instead of a model here (default: none)")
    .option("--endpoint-model <name>", "model to ask that server for (default: the server's own)")
    .option("--vectors <file>", "take vectors from a .npy or .jsonl file, see oneword data texts (default: none)");
}
