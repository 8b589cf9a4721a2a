import { InputError } from "../errors.ts";

/** The seven sets of the paper's table, in its order. */
export const stsTasks = ["sts12", "sts13", "sts14", "sts15", "sts16", "stsb", "sickr"] as const;
export type StsTask = (typeof stsTasks)[number] | "stsb-dev";

/** Tasks that train a classifier on frozen embeddings, in the order of the literature's table. */
export const transferTasks = ["mr", "cr", "subj", "mpqa", "sst2", "trec", "mrpc"] as const;
export type TransferTask = (typeof transferTasks)[number];

export type Task = StsTask | TransferTask;

/** Names as the literature prints them. */
export const taskTitles: Readonly<Record<Task, string>> = {
  sts12: "STS12",
  sts13: "STS13",
  sts14: "STS14",
  sts15: "STS15",
  sts16: "STS16",
  stsb: "STS-B",
  sickr: "SICK-R",
  "stsb-dev": "STS-B dev",
  mr: "MR",
  cr: "CR",
  subj: "SUBJ",
  mpqa: "MPQA",
  sst2: "SST2",
  trec: "TREC",
  mrpc: "MRPC",
};

export const isTransferTask = (task: Task): task is TransferTask => (transferTasks as readonly Task[]).includes(task);

const groups: Readonly<Record<string, readonly Task[]>> = {
  sts: stsTasks,
  transfer: transferTasks,
  all: [...stsTasks, ...transferTasks],
};

/**
 * Tasks and groups by name, each once: `sts,trec`.
 * @throws InputError "bad-option" naming what there is
 */
export function parseTasks(text: string): Task[] {
  const names = text.split(",").map((name) => name.trim().toLowerCase());
  return [...new Set(names.flatMap((name) => (Object.hasOwn(groups, name) ? groups[name]! : [parseTask(name)])))];
}

function parseTask(name: string): Task {
  if (Object.hasOwn(taskTitles, name)) return name as Task;
  const known = [...Object.keys(groups), ...Object.keys(taskTitles)].join(", ");
  throw new InputError("bad-option", `"${name}" is no task. Tasks and groups: ${known}.`);
}
