import { pulledFolder } from "../evaluate/data-folder.ts";
import { evaluate } from "../evaluate/evaluate.ts";
import { resultTable } from "../evaluate/result-table.ts";
import { parseTasks } from "../evaluate/tasks.ts";
import { modelSource } from "../evaluate/vector-source.ts";
import type { CliContext } from "./context.ts";
import type { ModelFlags } from "./flags.ts";
import { embedOptions, loadModel } from "./load-model.ts";
import { writeTo } from "./stdout-sink.ts";

export interface EvalFlags extends ModelFlags {
  readonly tasks: string;
  readonly data?: string;
}

/** `oneword eval`: how good a model with a recipe is, in the numbers of the literature. */
export async function runEval(flags: EvalFlags, context: CliContext): Promise<void> {
  const tasks = parseTasks(flags.tasks);
  const dataFolder = flags.data ?? pulledFolder();
  const { model, loaded } = await loadModel(flags, context);
  try {
    const { signal, ...options } = embedOptions(flags, context.signal);
    const run = await evaluate(modelSource(model, options), { tasks, dataFolder, ...(signal ? { signal } : {}) });
    await writeTo(context.stdout, resultTable(run));
    if (!flags.quiet) context.stderr.write(`${loaded}\n`);
  } finally {
    await model.close();
  }
}
