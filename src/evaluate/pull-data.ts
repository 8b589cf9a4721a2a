import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { InputError, ModelError } from "../errors.ts";
import { moveFolder, writeAtomically } from "../files/atomic.ts";
import { cacheFolder } from "../files/cache-folder.ts";
import { dataFolderName, modelLock } from "../files/cached-models.ts";
import { fetchInCache } from "../files/fetch-model.ts";
import { fetchDataSet } from "../files/hub-data-set.ts";
import { withLock } from "../files/lock.ts";
import { isOffline, type ResolveOptions } from "../files/resolve-model.ts";
import { readTable, type TableRow } from "../files/table.ts";
import { tsvLine } from "../files/tsv.ts";
import { findFolderWith, unpackTar } from "../files/unpack.ts";
import { pulledFolder } from "./data-folder.ts";

/** SentEval's own copies, which the literature's numbers are for, or mteb's sets in their original spelling (STS only). */
export const dataSources = ["senteval", "mteb"] as const;
export type DataSource = (typeof dataSources)[number];

/** Data set on the hub that holds SentEval's folders as one archive. */
const sentEvalArchive = { name: "princeton-nlp/datasets-for-simcse", file: "senteval.tar" };
const sentEvalFolders = ["STS", "SICK", "MR", "CR", "SUBJ", "MPQA", "SST", "TREC", "MRPC"];

const mtebSets: Readonly<Record<string, string>> = {
  STS12: "mteb/sts12-sts",
  STS13: "mteb/sts13-sts",
  STS14: "mteb/sts14-sts",
  STS15: "mteb/sts15-sts",
  STS16: "mteb/sts16-sts",
  STSB: "mteb/stsbenchmark-sts",
  SICKR: "mteb/sickr-sts",
};

/**
 * Fetches evaluation sets from the hub.
 * @returns the folder that --data takes
 * @throws ModelError "offline", "download", "model-not-found", "checksum"; CapacityError "disk-full"; InputError "bad-row" for files that are not what they should be
 */
export async function pullData(source: DataSource, options: ResolveOptions): Promise<string> {
  if (isOffline(options))
    throw new ModelError("offline", "data pull: the network is off. Turn it on, or copy the sets.");
  const pull = source === "senteval" ? pullSentEval : pullMteb;
  return fetchInCache(cacheFolder(options.cacheDir), () => pull(options));
}

/** Runs `work` with a folder for what is fetched, which stays where it is stopped; pruning leaves it alone meanwhile. */
async function staged(
  name: string,
  options: ResolveOptions,
  work: (staging: string, options: ResolveOptions) => Promise<void>,
): Promise<void> {
  const root = cacheFolder(options.cacheDir);
  const folder = dataFolderName(name);
  const staging = join(root, "partial", folder);
  const lock = { file: modelLock(root, folder), purpose: "fetches the same data", signal: options.signal };
  await withLock(lock, async (signal) => {
    await mkdir(staging, { recursive: true });
    await work(staging, { ...options, signal });
    await rm(staging, { recursive: true, force: true });
  });
}

/** All of SentEval's sets, STS and transfer, are one archive. */
async function pullSentEval(asked: ResolveOptions): Promise<string> {
  const target = pulledFolder(asked.cacheDir);
  await staged("senteval", asked, async (staging, options) => {
    await fetchDataSet(sentEvalArchive.name, (path) => path === sentEvalArchive.file, staging, options);
    const archive = join(staging, sentEvalArchive.file);
    const unpacked = join(staging, "unpacked");
    await rm(unpacked, { recursive: true, force: true });
    await unpackTar(archive, unpacked);
    const found = await findFolderWith(sentEvalFolders, unpacked);
    if (!found) {
      throw new InputError("bad-row", `${archive}: has none of SentEval's folders (${sentEvalFolders.join(", ")}).`);
    }
    await moveFolder(found, join(target, "downstream"));
  });
  return target;
}

/** Test splits as `mteb/STS12/test.tsv`. */
async function pullMteb(asked: ResolveOptions): Promise<string> {
  const target = join(pulledFolder(asked.cacheDir), "mteb");
  for (const [folder, name] of Object.entries(mtebSets)) {
    await staged(name, asked, async (staging, options) => {
      const { files } = await fetchDataSet(name, isTestSplit, staging, options);
      const rows: string[] = [];
      for (const file of files) for await (const row of readTable(join(staging, file))) rows.push(pairLine(row));
      await writeAtomically(join(target, folder, "test.tsv"), `score\tsentence1\tsentence2\n${rows.join("")}`);
    });
  }
  return target;
}

const isTestSplit = (path: string): boolean => /(^|\/)test[^/]*\.(parquet|jsonl|jsonl\.gz)$/.test(path);

function pairLine({ values: { score, sentence1, sentence2 }, where, problem }: TableRow): string {
  if (problem || typeof score !== "number" || typeof sentence1 !== "string" || typeof sentence2 !== "string") {
    throw new InputError("bad-row", `${where}: ${problem ?? "has no score, sentence1 and sentence2"}. Fetch it again.`);
  }
  return tsvLine([String(score), sentence1, sentence2]);
}
