import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ModelError } from "../errors.ts";
import { hubCacheFolder } from "./cache-folder.ts";
import type { ModelId } from "./known-models.ts";
import type { ModelFiles } from "./model-files.ts";
import { parseIndex } from "./safetensors.ts";

/** Written last into a model's folder: what is not listed here is not there. */
export interface Manifest {
  readonly name: string;
  readonly source: "hub" | "package-index";
  /** The hub's commit; absent for a model of the package index. */
  readonly commit?: string;
  readonly identity: string;
  readonly files: readonly { readonly path: string; readonly size: number; readonly sha256: string }[];
}

export const manifestName = "oneword.json";

/** The folder of a model under `models` in the own cache. */
export const modelFolderName = (key: string): string => key.replaceAll("/", "--");

/** The folder under `partial` of evaluation sets that are fetched: a name that no model's has. */
export const dataFolderName = (name: string): string => `data+${modelFolderName(name)}`;

export const isDataFolder = (folderName: string): boolean => folderName.startsWith(dataFolderName(""));

/** Held by whoever works on the model's folder, be it under `models` or under `partial`. */
export const modelLock = (cacheRoot: string, folderName: string): string => join(cacheRoot, "locks", folderName);

/** What the own cache has: a whole model, one whose files are not what its manifest says, or nothing. */
export interface CacheHit {
  readonly files?: ModelFiles;
  readonly damage?: string;
}

/** Looks into the own cache; sizes are compared, contents were checked when they landed. */
export async function findInCache(key: string, cacheRoot: string): Promise<CacheHit> {
  const folder = join(cacheRoot, "models", modelFolderName(key));
  const manifest = await readManifest(folder);
  if (manifest?.name !== key) return findCommitInCache(key, cacheRoot);
  const damage = await findDamage(folder, manifest);
  if (damage) return { damage };
  const files = await folderFiles(folder, key);
  return files ? { files: { ...files, source: "cache", identity: manifest.identity } } : {};
}

/** A commit that is asked for by its hash may be the one that came when the model was asked for by name. */
async function findCommitInCache(key: string, cacheRoot: string): Promise<CacheHit> {
  const [repo = "", commit] = key.split("@");
  if (commit === undefined) return {};
  const hit = await findInCache(repo, cacheRoot);
  return hit.files?.identity === key ? hit : {};
}

export async function readManifest(folder: string): Promise<Manifest | null> {
  try {
    const manifest = JSON.parse(await readFile(join(folder, manifestName), "utf8")) as Manifest;
    const isWhole = typeof manifest.name === "string" && typeof manifest.identity === "string";
    return isWhole && manifest.files.length > 0 && manifest.files.every(({ path }) => isPlainName(path))
      ? manifest
      : null;
  } catch {
    return null;
  }
}

/** What is wrong with the files of a manifest, or null. */
export async function findDamage(folder: string, { files }: Manifest): Promise<string | null> {
  for (const { path, size } of files) {
    const found = await stat(join(folder, path)).catch(() => null);
    const file = join(folder, path);
    if (!found) return `${file} is missing`;
    if (found.size !== size) return `${file} has ${found.size} bytes, not the ${size} that were fetched`;
  }
  return null;
}

/** A name without a folder in it. */
export const isPlainName = (name: string): boolean => /^\w[\w.-]*$/.test(name);

/** The parts of a model in a folder, or null where there are no weights. */
export async function folderFiles(
  folder: string,
  name: string,
): Promise<Omit<ModelFiles, "source" | "identity"> | null> {
  const names = new Set(await readdir(folder).catch(() => []));
  const at = (file: string): string | undefined => (names.has(file) ? join(folder, file) : undefined);
  const weights = findWeights(folder, names);
  if (!weights) return null;
  const [config, tokenizerConfig] = ["config.json", "tokenizer_config.json"].map(at);
  const tokenizer = tokenizerFiles(names).map(at)[0];
  return {
    name,
    weights,
    ...(config ? { config } : {}),
    ...(tokenizer ? { tokenizer } : {}),
    ...(tokenizerConfig ? { tokenizerConfig } : {}),
  };
}

/** What a tokenizer is read from, of the names that are there: one file, or GPT-2's pair, which is all that OPT has. */
export function tokenizerFiles(names: { has(name: string): boolean }): readonly string[] {
  const forms = [["tokenizer.json"], ["vocab.json", "merges.txt"]];
  return forms.find((form) => form.every((name) => names.has(name))) ?? [];
}

function findWeights(folder: string, names: ReadonlySet<string>): ModelFiles["weights"] | null {
  if (names.has("model.safetensors")) return { kind: "safetensors", file: join(folder, "model.safetensors") };
  const index = "model.safetensors.index.json";
  if (names.has(index)) return { kind: "safetensors-index", file: join(folder, index) };
  const ggufs = [...names].filter((name) => /\.gguf$/i.test(name)).sort();
  if (ggufs.length > 1) {
    const some = `${ggufs.slice(0, 5).join(", ")}${ggufs.length > 5 ? ", …" : ""}`;
    throw new ModelError("model-not-found", `${folder} holds ${ggufs.length} GGUF files; name one of them: ${some}.`);
  }
  return ggufs[0] === undefined ? null : { kind: "gguf", file: join(folder, ggufs[0]) };
}

/** A snapshot that another tool left whole in the Hugging Face cache. */
export async function findInHubCache(id: ModelId): Promise<ModelFiles | null> {
  if (id.packaged) return null;
  const folder = join(hubCacheFolder(), `models--${id.repo.replace("/", "--")}`);
  const commit = (await readFile(join(folder, "refs", id.revision), "utf8").catch(() => id.revision)).trim();
  if (!isPlainName(commit)) return null;
  const files = await readHubSnapshot(join(folder, "snapshots", commit), id.key);
  return files?.isWhole ? { ...files.parts, source: "hf-cache", identity: `${id.repo}@${commit}` } : null;
}

/** A snapshot's parts, and whether all that an embedding needs is there: links in it may lead nowhere. */
export async function readHubSnapshot(
  folder: string,
  name: string,
): Promise<{ readonly parts: Omit<ModelFiles, "source" | "identity">; readonly isWhole: boolean } | null> {
  const parts = await folderFiles(folder, name).catch(() => null); // several GGUF files: not one model
  if (!parts) return null;
  const { weights, config, tokenizer } = parts;
  if (weights.kind !== "gguf" && !(config && tokenizer)) return { parts, isWhole: false };
  const shards = weights.kind === "safetensors-index" ? await shardFiles(weights.file).catch(() => [""]) : [];
  const tokenizers = weights.kind === "gguf" ? [] : tokenizerFiles(new Set(await readdir(folder)));
  const needed = [
    weights.file,
    ...shards,
    ...(config ? [config] : []),
    ...tokenizers.map((file) => join(folder, file)),
  ];
  const found = await Promise.all(needed.map((file) => stat(file).catch(() => null)));
  return { parts, isWhole: found.every((entry) => entry?.isFile()) };
}

/** Absolute paths of an index's shards, sorted. */
export async function shardFiles(indexFile: string): Promise<string[]> {
  const shards = new Set(parseIndex(await readFile(indexFile), indexFile).values());
  return [...shards].sort().map((shard) => join(indexFile, "..", shard));
}
