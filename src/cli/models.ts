import type { CliContext, ListedModel } from "./context.ts";
import { defaultModel } from "./flags.ts";
import { formatBytes } from "./progress.ts";
import { writeTo } from "./stdout-sink.ts";

export interface ModelsFlags {
  readonly json?: boolean;
}

/** `oneword models`: what is on this machine, how big, from where. */
export async function runModels(flags: ModelsFlags, context: CliContext): Promise<void> {
  const models = await context.listModels();
  if (flags.json) {
    const plain = models.map(({ name, source, bytes, path, complete }) => ({ name, source, bytes, path, complete }));
    await writeTo(context.stdout, `${JSON.stringify(plain, null, 2)}\n`);
  } else if (models.length === 0) {
    context.stderr.write(`no models here yet; oneword pull ${defaultModel} fetches the default one\n`);
  } else {
    await writeTo(context.stdout, modelTable(models));
  }
}

function modelTable(models: readonly ListedModel[]): string {
  const sizeOf = ({ bytes, complete }: ListedModel): string => formatBytes(bytes) + (complete ? "" : ", incomplete");
  const rows = [
    ["NAME", "SIZE", "SOURCE", "PATH"],
    ...models.map((model) => [model.name, sizeOf(model), model.source, model.path]),
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => `${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ")}\n`).join("");
}
