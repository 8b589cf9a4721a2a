import { once } from "node:events";
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { InputError } from "../errors.ts";
import { unpackError } from "../files/thread-error.ts";
import { workerUrl } from "../files/worker-url.ts";
import { JobRunner, type WeightJob, type WeightJobResult } from "./weight-jobs.ts";
import type { WeightAnswer } from "./weight-worker.ts";

export interface RunOptions {
  /** Worker threads; 0 for the caller's own. By default as many as there are processors and as the work is worth. */
  readonly threads?: number | undefined;
  /** Bytes that the jobs read, which decide how many threads are worth starting. */
  readonly totalBytes: number;
  readonly signal?: AbortSignal | undefined;
  readonly onDone?: (job: WeightJob, result: WeightJobResult) => void;
}

/** Told how much of the weights has been read, and what for. */
export type PrepareProgress = (progress: {
  action: "preparing" | "measuring";
  file: string;
  receivedBytes: number;
  totalBytes?: number;
}) => void;

const maxThreads = 8; // the disk is the limit then, and every thread takes memory
const bytesOfThread = 16 << 20; // a thread takes as long to start as to convert this much

/** One that does jobs, one at a time. */
interface Hand {
  run(job: WeightJob): Promise<WeightJobResult>;
  close(): unknown;
}

/**
 * Does every job, side by side in worker threads; the caller's thread stays free.
 * @throws InputError "aborted", and what a job throws; no thread is left then
 */
export async function runWeightJobs(jobs: Iterable<WeightJob>, options: RunOptions): Promise<void> {
  const queue = jobs[Symbol.iterator]();
  const hands = hire(options);
  const work = async (hand: Hand): Promise<void> => {
    for (let next = queue.next(); !next.done; next = queue.next()) {
      if (options.signal?.aborted) throw new InputError("aborted", "stopped while the weights were prepared.");
      const result = await hand.run(next.value);
      options.onDone?.(next.value, result);
    }
  };
  try {
    await Promise.all(hands.map(work));
  } finally {
    await Promise.all(hands.map((hand) => hand.close()));
  }
}

function hire({ threads, totalBytes }: RunOptions): Hand[] {
  const worth = Math.min(availableParallelism(), maxThreads, Math.floor(totalBytes / bytesOfThread));
  const url = workerUrl("./weight-worker", import.meta.url);
  if (url === null || (threads ?? worth) === 0) return [ownThread()];
  return Array.from({ length: threads ?? worth }, () => workerThread(url));
}

/** Lets others have the thread between two jobs. */
function ownThread(): Hand {
  const runner = new JobRunner();
  return {
    async run(job) {
      await setImmediate();
      return runner.run(job);
    },
    close: () => runner.close(),
  };
}

function workerThread(url: URL): Hand {
  const worker = new Worker(url, { name: "oneword weights", execArgv: [] }); // the parent's --input-type would be refused
  return {
    async run(job) {
      const answered = once(worker, "message"); // rejects where the thread itself fails
      worker.postMessage(job);
      const [answer] = (await answered) as [WeightAnswer];
      if ("error" in answer) throw unpackError(answer.error);
      return answer.result;
    },
    close: () => worker.terminate(),
  };
}
