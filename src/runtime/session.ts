import { dirname } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { InternalError, ModelError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import { writeOnnx } from "../graph/onnx.ts";

export { Tensor };

export interface SessionOptions {
  /** Threads of one operator; the runtime's choice (one for each physical core) by default. */
  readonly threads?: number;
}

/** A graph that is ready to run: the only door to the runtime. */
export class Session {
  readonly #inner: InferenceSession;

  private constructor(inner: InferenceSession) {
    this.#inner = inner;
  }

  /** @throws ModelError "corrupt-file" when the runtime refuses the weights, InternalError "graph" when it refuses the graph */
  static async create(graph: Graph, options: SessionOptions = {}): Promise<Session> {
    const folder = weightFolder(graph);
    try {
      const inner = await InferenceSession.create(writeOnnx(graph), {
        executionProviders: ["cpu"],
        graphOptimizationLevel: "all",
        logSeverityLevel: 3,
        ...(options.threads ? { intraOpNumThreads: options.threads } : {}),
        extra: { session: { ...(folder ? { model_external_initializers_file_folder_path: folder } : {}) } },
      });
      return new Session(inner);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (/external data|initializer/i.test(message)) {
        throw new ModelError("corrupt-file", `${folder}: the runtime cannot read the weights: ${message}`, {
          cause: error,
        });
      }
      throw new InternalError("graph", `the runtime refuses the graph: ${message}`, { cause: error });
    }
  }

  /** Runs the graph for the named outputs. */
  async run(feeds: Readonly<Record<string, Tensor>>, outputs: readonly string[]): Promise<Record<string, Tensor>> {
    try {
      return (await this.#inner.run(feeds, [...outputs])) as Record<string, Tensor>;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new InternalError("runtime", `a run failed: ${message}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    await this.#inner.release();
  }
}

/** The one folder that holds the graph's weight files. */
function weightFolder(graph: Graph): string | null {
  const folders = new Set<string>();
  for (const { data } of graph.initializers.values()) if ("file" in data) folders.add(dirname(data.file));
  if (folders.size > 1) throw new InternalError("graph", `weights lie in several folders: ${[...folders].join(", ")}.`);
  return folders.values().next().value ?? null;
}
