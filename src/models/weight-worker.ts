import { parentPort } from "node:worker_threads";
import { packError, type ThreadError } from "../files/thread-error.ts";
import { JobRunner, type WeightJob, type WeightJobResult } from "./weight-jobs.ts";

/** Answers every job of its parent with one message; the entry of a worker thread. */
export type WeightAnswer = { readonly result: WeightJobResult } | { readonly error: ThreadError };

const runner = new JobRunner(); // its files are closed with the thread

function answer(job: WeightJob): WeightAnswer {
  try {
    return { result: runner.run(job) };
  } catch (error) {
    return { error: packError(error) };
  }
}

parentPort?.on("message", (job: WeightJob) => parentPort?.postMessage(answer(job)));
