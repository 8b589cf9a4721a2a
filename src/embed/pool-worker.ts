import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { Embedder } from "./embedder.ts";
import { loadEmbedder } from "./load.ts";
import {
  type FromWorker,
  type Job,
  type JobResult,
  type ToWorker,
  toPlainError,
  type WorkerStart,
} from "./worker-protocol.ts";

/** One thread of WorkerPool: a model of its own, whose jobs run one after the other. */
const port = parentPort as MessagePort;
const say = (message: FromWorker, transfer: readonly ArrayBuffer[] = []): void =>
  port.postMessage(message, [...transfer]);
const aborts = new Map<number, AbortController>();

async function run(model: Embedder, id: number, job: Job): Promise<void> {
  const { signal } = aborts.get(id)!;
  try {
    const result = await resultOf(model, job, signal);
    say({ kind: "result", id, result }, [result.rows.buffer as ArrayBuffer]);
  } catch (error) {
    say({ kind: "error", id, error: toPlainError(error) });
  } finally {
    aborts.delete(id);
  }
}

async function resultOf(model: Embedder, job: Job, signal: AbortSignal): Promise<JobResult> {
  if (job.kind === "tokens") {
    const rows = await model.embedTokens(job.ids, { layer: job.layer, signal });
    return { ...joined(rows), tokens: [], truncatedTokens: [], statistics: model.statistics };
  }
  const results = await model.embedWindow(job.texts, job.start, { ...job.options, signal });
  return {
    ...joined(results.map(({ embedding }) => embedding)),
    tokens: results.map(({ tokens }) => tokens),
    truncatedTokens: results.map(({ truncatedTokens }) => truncatedTokens),
    statistics: model.statistics,
  };
}

function joined(rows: readonly Float32Array[]): { rows: Float32Array; count: number } {
  const width = rows[0]?.length ?? 0;
  const all = new Float32Array(rows.length * width);
  rows.forEach((row, i) => {
    all.set(row, i * width);
  });
  return { rows: all, count: rows.length };
}

function listen(model: Embedder): void {
  let last: Promise<void> = Promise.resolve();
  port.on("message", (message: ToWorker) => {
    if (message.kind === "abort") aborts.get(message.id)?.abort();
    else if (message.kind === "close") last = last.then(() => model.close()).finally(() => port.close());
    else {
      const { id, job } = message;
      aborts.set(id, new AbortController());
      last = last.then(() => run(model, id, job));
    }
  });
}

const { model: name, options } = workerData as WorkerStart;
try {
  const model = await loadEmbedder(name, {
    ...options,
    onProgress: (progress) => say({ kind: "progress", progress }),
    onWarning: (message) => say({ kind: "warning", message }),
  });
  listen(model);
  const { hiddenSize, numLayers, maxTokens, recipe, recipeId } = model;
  say({ kind: "ready", facts: { name: model.name, hiddenSize, numLayers, maxTokens, recipe, recipeId } });
} catch (error) {
  say({ kind: "error", error: toPlainError(error) });
}
