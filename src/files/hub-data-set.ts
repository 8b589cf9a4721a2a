import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { datasetInfo, listFiles } from "@huggingface/hub";
import { ModelError, OnewordError } from "../errors.ts";
import { fetchFile, type HubFile, hubFileOf } from "./hub-file.ts";
import { askWhole, type Hub, openHub } from "./hub-request.ts";
import type { ResolveOptions } from "./resolve-model.ts";
import { Staging } from "./staging.ts";

export interface FetchedDataSet {
  /** That main stands for. */
  readonly commit: string;
  /** Paths within the data set. */
  readonly files: readonly string[];
}

/**
 * Fetches some files of a data set on the hub into a folder, going on where an earlier try stopped.
 * @param name  owner/name
 * @throws ModelError "model-not-found" for a data set that is not there or has none of the files, "download", "checksum"
 */
export async function fetchDataSet(
  name: string,
  isWanted: (path: string) => boolean,
  folder: string,
  options: ResolveOptions,
): Promise<FetchedDataSet> {
  const hub = await openHub(options);
  const { commit, files } = await listDataSet(hub, name);
  const wanted = files.filter(({ path }) => isWanted(path) && isInside(path));
  if (wanted.length === 0) {
    const some = files.slice(0, 8).map(({ path }) => path);
    throw new ModelError(
      "model-not-found",
      `the data set ${name} has none of the files looked for; it has ${some.join(", ") || "none"}.`,
    );
  }
  const staging = await Staging.open(folder, name, {});
  for (const file of wanted) {
    await mkdir(dirname(staging.path(file.path)), { recursive: true });
    await fetchFile(hub, { repo: `datasets/${name}`, commit }, file, staging, options);
  }
  await staging.close();
  return { commit, files: wanted.map(({ path }) => path) };
}

/** A path that stays in the folder it is put in. */
const isInside = (path: string): boolean => !path.startsWith("/") && !path.split(/[/\\]/).includes("..");

async function listDataSet(hub: Hub, name: string): Promise<{ readonly commit: string; readonly files: HubFile[] }> {
  const about = `datasets/${name}`;
  const common = { hubUrl: hub.endpoint, fetch: ((url: string | URL) => askWhole(hub, url, about)) as typeof fetch };
  try {
    const { sha: commit } = await datasetInfo({ name, revision: "main", additionalFields: ["sha"], ...common });
    const files: HubFile[] = [];
    const listed = listFiles({ repo: { type: "dataset", name }, revision: commit, recursive: true, ...common });
    for await (const entry of listed) if (entry.type === "file") files.push(hubFileOf(entry, commit));
    return { commit, files };
  } catch (error) {
    if (error instanceof OnewordError) throw error;
    const reason = `${hub.endpoint} answers, but not as a hub of data sets (${(error as Error).message})`;
    throw new ModelError("download", `${reason}. Check HF_ENDPOINT and proxies.`, { cause: error });
  }
}
