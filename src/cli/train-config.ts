import { Command, CommanderError, type Option } from "commander";
import { InputError } from "../errors.ts";
import { type JsonProblem, kindOf, readJsonObject } from "../files/json.ts";
import { append } from "./flags.ts";
import { addTrainFlags, type TrainFlags } from "./train-flags.ts";

/**
 * Flags from a JSON object, named in camelCase; they are read as those of a command line are.
 * @throws InputError "bad-option" with the file and the key
 */
export async function readTrainConfig(file: string): Promise<TrainFlags> {
  const problem: JsonProblem = (what, cause) => new InputError("bad-option", `--config ${file}: ${what}.`, { cause });
  const json = await readJsonObject(file, problem);
  const command = addTrainFlags(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  const options = new Map(command.options.map((option) => [option.attributeName(), option]));
  options.delete("config");
  const flags = Object.entries(json).flatMap(([key, value]) => {
    const option = options.get(key);
    if (!option) throw problem(`no flag is called ${JSON.stringify(key)}; there are ${[...options.keys()].join(", ")}`);
    return flagsOf(option, value, (what) => problem(`${key} is ${what}`));
  });
  try {
    return command.parse(flags, { from: "user" }).opts<TrainFlags>();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw problem(error.message.replace(/^error: /, "").replace(/\.$/, ""), error);
  }
}

/** As one would write them. */
function flagsOf(option: Option, value: unknown, problem: JsonProblem): string[] {
  const flag = option.long!;
  if (typeof value === "boolean" && !option.required) return value ? [flag] : [];
  if (typeof value === "string" || typeof value === "number") {
    if (option.required || option.optional) return [`${flag}=${value}`];
    throw problem(`${kindOf(value)}, but must be true or false`);
  }
  if (option.parseArg === append && Array.isArray(value) && value.every((item) => typeof item === "string")) {
    return value.map((item) => `${flag}=${item}`);
  }
  throw problem(`${kindOf(value)}, but must be a string or a number`);
}
