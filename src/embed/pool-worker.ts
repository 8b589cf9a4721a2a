import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { packError } from "../files/thread-error.ts";
import type { Embedder } from "./embedder.ts";
import { loadEmbedder } from "./load.ts";
import type { FromWorker, ModelFacts, ToWorker, WorkerStart } from "./worker-protocol.ts";

/** One thread of WorkerPool: a model of its own, whose calls run one after the other. */
const port = parentPort as MessagePort;
const say = (message: FromWorker): void => port.postMessage(message);
const aborts = new Map<number, AbortController>();
const views = new Map<number, Embedder>();

type Request = Extract<ToWorker, { readonly kind: "call" | "open" }>;

async function answer(request: Request, signal: AbortSignal): Promise<void> {
  const { id, view } = request;
  try {
    const value = request.kind === "open" ? await open(request) : await call(request, signal);
    say({ kind: "result", id, view, value, statistics: views.get(view)!.statistics });
  } catch (error) {
    say({ kind: "error", id, error: packError(error) });
  } finally {
    aborts.delete(id);
  }
}

async function open({ view, from, recipe }: Extract<Request, { kind: "open" }>): Promise<ModelFacts> {
  const model = await views.get(from)!.withRecipe(recipe);
  views.set(view, model);
  return factsOf(model);
}

function call({ view, method, args }: Extract<Request, { kind: "call" }>, signal: AbortSignal): Promise<unknown> {
  const options = { ...(args.at(-1) as object), signal };
  const model = views.get(view)! as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  return model[method]!(...args.slice(0, -1), options);
}

async function close(view: number): Promise<void> {
  await views.get(view)?.close();
  views.delete(view);
  if (views.size === 0) port.close();
}

function factsOf({ name, hiddenSize, numLayers, maxTokens, recipe, recipeId, graphId }: Embedder): ModelFacts {
  return { name, hiddenSize, numLayers, maxTokens, recipe, recipeId, graphId };
}

function listen(): void {
  let last: Promise<void> = Promise.resolve();
  port.on("message", (message: ToWorker) => {
    if (message.kind === "abort") aborts.get(message.id)?.abort();
    else if (message.kind === "close") last = last.then(() => close(message.view));
    else {
      const controller = new AbortController();
      aborts.set(message.id, controller);
      last = last.then(() => answer(message, controller.signal));
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
  views.set(0, model);
  listen();
  say({ kind: "ready", facts: factsOf(model) });
} catch (error) {
  say({ kind: "error", error: packError(error) });
}
