import { dirname } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { env, InferenceSession, listSupportedBackends, Tensor } from "onnxruntime-node";
import { InputError, InternalError, ModelError } from "../errors.ts";
import { Graph } from "../graph/graph.ts";
import { writeOnnx } from "../graph/onnx.ts";
import { cast } from "../graph/ops/elementwise.ts";
import { reduceMax } from "../graph/ops/reduce.ts";
import type { Device } from "./device.ts";

export { Tensor };

env.logLevel = "fatal"; // what fails is thrown, and says so by itself

export const runtimeVersion = env.versions.node ?? env.versions.common;

export interface SessionOptions {
  /** `cpu` by default. */
  readonly device?: Device | undefined;
  /** Threads of one operator; the runtime's choice (one for each physical core) by default. */
  readonly threads?: number | undefined;
  /**
   * Whether threads without work wait busily, which is quicker where the machine is idle else and slower where it is not; true
   * by default.
   */
  readonly spins?: boolean | undefined;
  /**
   * Whether to hold as little as possible, for runs of many tokens whose number is never the same: no copies of weights packed
   * for the processor, and no plan of a run's memory, which for sizes that come again is held beside what there was.
   */
  readonly isFrugal?: boolean | undefined;
}

const deviceAdvice = "Use cpu, or see docs/devices.md for what a device needs.";

/** A graph that is ready to run: the only door to the runtime. */
export class Session {
  readonly #inner: InferenceSession;
  readonly #device: Device;

  private constructor(inner: InferenceSession, device: Device) {
    this.#inner = inner;
    this.#device = device;
  }

  /**
   * @throws ModelError "corrupt-file" when the runtime refuses the weights, InternalError "graph" when it refuses the
   * graph, InputError "bad-option" for a device that the runtime lacks or cannot use here
   */
  static async create(graph: Graph, options: SessionOptions = {}): Promise<Session> {
    const device = options.device ?? "cpu";
    checkListed(device);
    if (device === "cuda") process.env.NVIDIA_TF32_OVERRIDE ??= "0"; // else float32 products have 10 bits
    const folder = weightFolder(graph);
    try {
      const inner = await InferenceSession.create(writeOnnx(graph), {
        executionProviders: device === "cpu" ? ["cpu"] : [device, "cpu"],
        graphOptimizationLevel: "all",
        logSeverityLevel: 4,
        enableMemPattern: options.isFrugal !== true,
        ...(options.threads ? { intraOpNumThreads: options.threads } : {}),
        extra: {
          session: {
            ...(folder ? { model_external_initializers_file_folder_path: folder } : {}),
            ...(options.isFrugal ? { disable_prepacking: "1" } : {}),
            ...(options.spins === false ? { intra_op: { allow_spinning: "0" } } : {}),
          },
        },
      });
      return new Session(inner, device);
    } catch (error) {
      const message = messageOf(error);
      if (device !== "cpu") {
        throw new InputError("bad-option", `device ${device} cannot be used here: ${message}. ${deviceAdvice}`, {
          cause: error,
        });
      }
      if (/external data|initializer/i.test(message)) {
        throw new ModelError("corrupt-file", `${folder}: the runtime cannot read the weights: ${message}`, {
          cause: error,
        });
      }
      throw new InternalError("graph", `the runtime refuses the graph: ${message}`, { cause: error });
    }
  }

  /**
   * Runs the graph for the named outputs.
   * @throws InputError "bad-option" where a device other than the CPU fails, for want of memory or of a library of its own
   */
  async run(feeds: Readonly<Record<string, Tensor>>, outputs: readonly string[]): Promise<Record<string, Tensor>> {
    try {
      return (await this.#inner.run(feeds, [...outputs])) as Record<string, Tensor>;
    } catch (error) {
      const message = messageOf(error);
      if (this.#device !== "cpu") {
        const advice = "Use fewer tokens a run, or cpu.";
        throw new InputError("bad-option", `device ${this.#device}: a run failed: ${message}. ${advice}`, {
          cause: error,
        });
      }
      throw new InternalError("runtime", `a run failed: ${message}`, { cause: error });
    }
  }

  async close(): Promise<void> {
    await this.#inner.release();
  }
}

/**
 * Gives the memory of a run's results back, rather than when the collector comes by, which for hundreds of megabytes can be when
 * the next ones are there: what is sent into a closed channel is nobody's. Their data are empty afterwards.
 */
export function discard(results: Readonly<Record<string, Tensor>>): void {
  const { port1: nowhere } = new MessageChannel();
  nowhere.close();
  nowhere.postMessage(
    null,
    Object.values(results).map(({ data }) => (data as Float32Array<ArrayBuffer>).buffer),
  );
}

/**
 * Whether graphs can run on a device, which a runtime may list without being able to use it.
 * @param type  in which it is to compute
 * @throws InputError "bad-option"
 */
export async function checkDevice(device: Device, type: "float32" | "float16" = "float32"): Promise<void> {
  checkListed(device);
  if (device === "cpu") return;
  const largest = await largestOfOneAndTwo(device, "float32");
  if (largest !== 2) {
    const what = `it says the larger of 1 and 2 is ${largest}`;
    throw new InputError("bad-option", `device ${device} cannot be used here: ${what}. ${deviceAdvice}`);
  }
  if (type === "float32") return;
  await largestOfOneAndTwo(device, type).catch((error: unknown) => {
    const what = `device ${device} does not compute in float16 here: ${messageOf((error as Error).cause ?? error)}`;
    throw new InputError("bad-option", `${what}. Use the precision float32, or cpu.`, { cause: error });
  });
}

/** A maximum, for which CUDA needs a library of its own. */
async function largestOfOneAndTwo(device: Device, type: "float32" | "float16"): Promise<number> {
  const graph = new Graph();
  const x = cast(graph.input("x", "float32", ["rows", 2]), type);
  graph.output(cast(reduceMax(x, 1), "float32"), "y");
  const session = await Session.create(graph, { device });
  const feeds = { x: new Tensor("float32", Float32Array.of(1, 2), [1, 2]) };
  const { y } = await session.run(feeds, ["y"]).finally(() => session.close());
  return y!.data[0] as number;
}

/** What the runtime says, without a full stop. */
const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).trim().replace(/\.$/, "");

function checkListed(device: Device): void {
  const present = listSupportedBackends().map(({ name }) => name);
  if (device === "cpu" || present.includes(device)) return;
  throw new InputError(
    "bad-option",
    `device ${device}: the installed ONNX Runtime for ${process.platform}-${process.arch} has only ${present.join(", ")}.`,
  );
}

/** The one folder that holds the graph's weight files. */
function weightFolder(graph: Graph): string | null {
  const folders = new Set<string>();
  for (const { data } of graph.initializers.values()) if ("file" in data) folders.add(dirname(data.file));
  if (folders.size > 1) {
    const places = [...folders].join(", ");
    throw new ModelError(
      "model-not-found",
      `the weights lie in several folders: ${places}. Put them, or links to them, into one.`,
    );
  }
  return folders.values().next().value ?? null;
}
