import { dirname } from "node:path";
import { packagedAdapter } from "../files/known-models.ts";
import type { ModelFiles } from "../files/model-files.ts";
import type { CliContext } from "./context.ts";
import { downloadProgress } from "./progress.ts";
import { writeTo } from "./stdout-sink.ts";

export interface PullFlags {
  readonly offline?: boolean;
  readonly quiet?: boolean;
}

/** `oneword pull`: fetches a model unless it is here, and prints where it lies. */
export async function runPull(model: string, flags: PullFlags, context: CliContext): Promise<void> {
  const downloads = downloadProgress(context, flags.quiet === true);
  let files: ModelFiles;
  try {
    const { signal } = context;
    files = await context.pullModel(model, {
      offline: flags.offline === true,
      signal,
      onProgress: downloads.onProgress,
    });
  } finally {
    downloads.stop();
  }
  if (!flags.quiet) {
    const how = downloads.lastAt() === undefined ? "was here already" : "fetched";
    context.stderr.write(`${files.name} ${how} (${files.identity})\n`);
    const packaged = packagedAdapter(model);
    if (packaged) {
      context.stderr.write(
        `the path is that of ${packaged.base}, without the adapter; --model ${model} has it, --adapter ${packaged.folder} puts it on.\n`,
      );
    }
  }
  await writeTo(context.stdout, `${pathOf(files)}\n`);
}

/** What `--model` takes: the one file of a GGUF, else the folder with config.json and the weights. */
function pathOf({ weights }: ModelFiles): string {
  return weights.kind === "gguf" ? weights.file : dirname(weights.file);
}
