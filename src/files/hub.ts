import { readFile, statfs } from "node:fs/promises";
import { listFiles, modelInfo } from "@huggingface/hub";
import { CapacityError, ModelError, OnewordError } from "../errors.ts";
import { isPlainName, type Manifest, tokenizerFiles } from "./cached-models.ts";
import { computeSha256 } from "./checksum.ts";
import { fetchFile, type HubFile, hubFileOf } from "./hub-file.ts";
import { askWhole, type Hub, openHub } from "./hub-request.ts";
import type { ResolveOptions } from "./resolve-model.ts";
import { parseIndex } from "./safetensors.ts";
import type { Staging } from "./staging.ts";

/** Files that a model may have besides its weights. */
const sideFiles = ["config.json", "tokenizer_config.json", "special_tokens_map.json"];
const indexName = "model.safetensors.index.json";

interface Snapshot {
  readonly repo: string;
  readonly commit: string;
  readonly files: ReadonlyMap<string, HubFile>;
}

/**
 * Fetches the files an embedding needs into `staging`, going on where an earlier try stopped.
 * @returns the commit that the revision stands for, and what was fetched
 */
export async function fetchSnapshot(
  repo: string,
  revision: string,
  staging: Staging,
  options: ResolveOptions,
): Promise<Required<Pick<Manifest, "commit" | "files">>> {
  const hub = await openHub(options);
  const snapshot = await readSnapshot(hub, repo, revision);
  const get = (path: string): Promise<void> => fetchFile(hub, snapshot, snapshot.files.get(path)!, staging, options);
  const tokenizer = tokenizerFiles(snapshot.files);
  const sides = [...sideFiles.filter((path) => snapshot.files.has(path)), ...tokenizer];
  const weights = await weightPaths(snapshot, async (index) => {
    await get(index);
    return parseIndex(await readFile(staging.path(index)), staging.path(index));
  });
  const isGguf = weights[0]!.endsWith(".gguf");
  if (!isGguf) requireSideFiles(repo, sides);
  const paths = isGguf ? weights : [...sides, ...weights];
  await checkSpace(snapshot, paths, staging);
  for (const path of paths) await get(path);
  return { commit: snapshot.commit, files: await Promise.all(paths.map((path) => fetched(path, snapshot, staging))) };
}

async function fetched(path: string, { files }: Snapshot, staging: Staging): Promise<Manifest["files"][number]> {
  const { size, sha256 } = files.get(path)!;
  return { path, size, sha256: sha256 ?? (await computeSha256(staging.path(path))) };
}

/** What the hub has under a name; only the top folder, where a model's files are. */
async function readSnapshot(hub: Hub, repo: string, revision: string): Promise<Snapshot> {
  const about = revision === "main" ? repo : `${repo}@${revision}`;
  const common = { hubUrl: hub.endpoint, fetch: ((url: string | URL) => askWhole(hub, url, about)) as typeof fetch };
  try {
    const { sha: commit } = await modelInfo({ name: repo, revision, additionalFields: ["sha"], ...common });
    if (!/^[0-9a-f]{40,64}$/.test(commit)) throw new Error(`the commit ${JSON.stringify(commit)}`);
    const files = new Map<string, HubFile>();
    for await (const entry of listFiles({ repo, revision: commit, ...common })) {
      if (entry.type === "file" && isPlainName(entry.path)) files.set(entry.path, hubFileOf(entry, commit));
    }
    return { repo, commit, files };
  } catch (error) {
    if (error instanceof OnewordError) throw error;
    throw new ModelError(
      "download",
      `${hub.endpoint} answers, but not as a model hub (${(error as Error).message}). Check HF_ENDPOINT and proxies.`,
      { cause: error },
    );
  }
}

/** model.safetensors, or the index with its shards, or the only GGUF file. */
async function weightPaths(
  { repo, files }: Snapshot,
  readIndex: (path: string) => Promise<Map<string, string>>,
): Promise<string[]> {
  if (files.has("model.safetensors")) return ["model.safetensors"];
  if (files.has(indexName)) {
    const shards = [...new Set((await readIndex(indexName)).values())].sort();
    const missing = shards.find((shard) => !files.has(shard));
    if (missing === undefined) return [indexName, ...shards];
    throw new ModelError("corrupt-file", `${repo}: the shard index names ${missing}, which the hub does not have.`);
  }
  const ggufs = [...files.keys()].filter((path) => path.endsWith(".gguf"));
  if (ggufs.length === 1) return ggufs;
  throw noWeights(repo, ggufs, files);
}

function noWeights(repo: string, ggufs: readonly string[], files: ReadonlyMap<string, HubFile>): ModelError {
  const hasPickle = [...files.keys()].some((path) => /^pytorch_model.*\.bin/.test(path));
  const some = `${ggufs.slice(0, 5).join(", ")}${ggufs.length > 5 ? ", …" : ""}`;
  if (ggufs.length > 1) {
    const advice = "fetch one and give its path as the model";
    return new ModelError("model-not-found", `${repo} has ${ggufs.length} GGUF files; ${advice}: ${some}.`);
  }
  const advice = hasPickle
    ? `has only pytorch_model.bin, which is not read. Where the hub made a safetensors copy, its pull request is a revision ` +
      `(${repo}@refs/pr/<number>, see the model's discussions); else save it as safetensors (save_pretrained does) and give the folder.`
    : "has no safetensors and no GGUF weights at its top. Name another model.";
  return new ModelError("model-not-found", `${repo} ${advice}`);
}

function requireSideFiles(repo: string, sides: readonly string[]): void {
  const hasConfig = sides.includes("config.json");
  const hasTokenizer = tokenizerFiles(new Set(sides)).length > 0;
  if (hasConfig && hasTokenizer) return;
  const missing = [
    ...(hasConfig ? [] : ["config.json"]),
    ...(hasTokenizer ? [] : ["tokenizer.json (or vocab.json with merges.txt)"]),
  ];
  const code = hasConfig ? "tokenizer" : "config";
  const advice = "Save model and tokenizer with transformers (save_pretrained), and give that folder as the model.";
  throw new ModelError(code, `${repo} has weights, but no ${missing.join(" and no ")}. ${advice}`);
}

/** Says before gigabytes are fetched that they do not fit. */
async function checkSpace({ repo, files }: Snapshot, paths: readonly string[], staging: Staging): Promise<void> {
  const missing = await Promise.all(paths.map((path) => staging.missingBytes(path, files.get(path)!.size)));
  const neededBytes = missing.reduce((sum, bytes) => sum + bytes, 0);
  const disk = await statfs(staging.folder).catch(() => null);
  if (!disk || disk.bavail * disk.bsize >= neededBytes) return;
  const free = `${disk.bavail * disk.bsize} bytes are free, ${neededBytes} are to be fetched`;
  const advice = "Free some space, or set ONEWORD_CACHE to a folder on another disk.";
  throw new CapacityError("disk-full", `${repo}: ${free} to ${staging.folder}. ${advice}`);
}
