import { pulledFolder } from "../evaluate/data-folder.ts";
import { embeddingCache } from "../evaluate/embedding-cache.ts";
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
  readonly cache: boolean;
}

/** `oneword eval`: how good a model with a recipe is, in the numbers of the literature. */
export async function runEval(flags: EvalFlags, context: CliContext): Promise<void> {
  const tasks = parseTasks(flags.tasks);
  const dataFolder = flags.data ?? pulledFolder();
  const { model, loaded } = await loadModel(flags, context);
  const { signal, ...options } = embedOptions(flags, context.signal);
  const source = modelSource(model, options);
  const cache = flags.cache ? embeddingCache(source) : undefined;
  try {
    const run = await evaluate(source, { tasks, dataFolder, cache, signal });
    await writeTo(context.stdout, resultTable(run));
    if (!flags.quiet) context.stderr.write(`${loaded} ${JSON.stringify({ ...run, sts: null })}\n`);
  } finally {
    await cache?.close();
    await model.close();
  }
}
