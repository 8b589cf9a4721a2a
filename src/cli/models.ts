import type { Pruned } from "../files/prune.ts";
import type { CliContext, ListedModel } from "./context.ts";
import { defaultModel } from "./flags.ts";
import { counted, formatBytes } from "./progress.ts";
import { writeTo } from "./stdout-sink.ts";

export interface ModelsFlags {
  readonly json?: boolean;
  readonly prune?: boolean;
}

/** `oneword models`: what is on this machine, how big, from where; with --prune what was taken away. */
export async function runModels(flags: ModelsFlags, context: CliContext): Promise<void> {
  if (flags.prune) return prune(flags, context);
  const models = await context.listModels();
  const prepared = await context.listPrepared();
  if (flags.json) {
    const plain = models.map(({ name, source, bytes, path, complete }) => ({ name, source, bytes, path, complete }));
    const derived = prepared.map((weights) => ({ ...weights, source: "prepared" }));
    await writeJson([...plain, ...derived], context);
  } else if (models.length + prepared.length === 0) {
    context.stderr.write(`no models here yet; oneword pull ${defaultModel} fetches the default one\n`);
  } else {
    const derived = prepared.map((weights) => ({ ...weights, source: `prepared ${weights.precision}` }));
    await writeTo(context.stdout, modelTable([...models, ...derived]));
  }
}

function modelTable(models: readonly ListedModel[]): string {
  const sizeOf = ({ bytes, complete }: ListedModel): string => formatBytes(bytes) + (complete ? "" : ", incomplete");
  return table([
    ["NAME", "SIZE", "SOURCE", "PATH"],
    ...models.map((model) => [model.name, sizeOf(model), model.source, model.path]),
  ]);
}

async function prune({ json }: ModelsFlags, context: CliContext): Promise<void> {
  const found = await context.pruneCache({ signal: context.signal });
  const removed = found.filter((item) => item.removed);
  const rowOf = ({ path, bytes, reason }: Pruned): string[] => [formatBytes(bytes), reason, path];
  if (json) await writeJson(found, context);
  else if (removed.length > 0)
    await writeTo(context.stdout, table([["SIZE", "REMOVED", "PATH"], ...removed.map(rowOf)]));
  for (const { path } of found.filter((item) => !item.removed)) {
    context.stderr.write(`left alone, another process works on it: ${path}\n`);
  }
  const freed = removed.reduce((sum, { bytes }) => sum + bytes, 0);
  context.stderr.write(`${counted(removed.length, "folder")} removed, ${formatBytes(freed)} freed\n`);
}

const writeJson = (value: unknown, { stdout }: CliContext): Promise<void> =>
  writeTo(stdout, `${JSON.stringify(value, null, 2)}\n`);

/** Columns as wide as their widest cell; the last one needs no padding. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i]!) : cell)).join("  ");
  return rows.map((row) => `${line(row)}\n`).join("");
}
