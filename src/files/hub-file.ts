import { open, rm, writeFile } from "node:fs/promises";
import type { ListFileEntry } from "@huggingface/hub";
import { ModelError, OnewordError } from "../errors.ts";
import { computeSha256 } from "./checksum.ts";
import { ask, bodyReader, type Hub, stopped } from "./hub-request.ts";
import type { ResolveOptions } from "./resolve-model.ts";
import { type Staging, sizeOf } from "./staging.ts";

const maxCuts = 5;

export interface HubFile {
  readonly path: string;
  readonly size: number;
  /** Only files in large-file storage have one. */
  readonly sha256: string | null;
  /** Names these bytes: the hub's etag, which is the sha256 in large-file storage and else git's object id. */
  readonly content: string;
}

/** A file as the hub's library lists it. */
export function hubFileOf(
  { path, size, oid, lfs }: Pick<ListFileEntry, "path" | "size" | "oid" | "lfs">,
  commit: string,
): HubFile {
  return { path, size: lfs?.size ?? size, sha256: lfs?.oid ?? null, content: lfs?.oid ?? oid ?? commit };
}

interface Place {
  readonly repo: string;
  readonly commit: string;
}

/**
 * Fetches one file, going on where an earlier try stopped, and checks it before it gets its name.
 * @throws ModelError "download" where it breaks off again and again, "checksum"; what has come stays for the next try
 */
export async function fetchFile(
  hub: Hub,
  place: Place,
  file: HubFile,
  staging: Staging,
  options: ResolveOptions,
): Promise<void> {
  if (await staging.isFinished(file.path, file.content, file.size)) return;
  const partial = staging.partial(file.path);
  if (file.size === 0) await writeFile(partial, "");
  for (let cuts = 0; ; ) {
    const begun = (await sizeOf(partial)) ?? 0;
    if (begun === file.size) break;
    if (begun > file.size) await rm(partial);
    try {
      await fetchRest(hub, place, file, partial, begun > file.size ? 0 : begun, options);
    } catch (error) {
      const hasCome = ((await sizeOf(partial)) ?? 0) > begun;
      if (!(error instanceof Cut && hasCome && ++cuts < maxCuts)) throw error instanceof Cut ? error.reason : error;
    }
  }
  await check(place, file, partial, hub.signal);
  await staging.finish(file.path);
}

/** A connection that broke while the bytes came: worth another request. */
class Cut extends Error {
  readonly reason: ModelError;
  constructor({ repo }: Place, { path, size }: HubFile, receivedBytes: number, cause: unknown) {
    super("cut");
    const where = `${repo}: ${path} broke off after ${receivedBytes} of ${size} bytes`;
    this.reason = new ModelError("download", `${where}. Pull again: it goes on from there.`, { cause });
  }
}

async function fetchRest(
  hub: Hub,
  place: Place,
  file: HubFile,
  partial: string,
  begun: number,
  { onProgress }: ResolveOptions,
): Promise<void> {
  const { path, size } = file;
  const url = `${hub.endpoint}/${place.repo}/resolve/${place.commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
  const response = await ask(hub, url, `${place.repo}/${path}`, begun > 0 ? { range: `bytes=${begun}-` } : {});
  const continues = response.status === 206 && response.headers.get("content-range")?.startsWith(`bytes ${begun}-`);
  let receivedBytes = continues ? begun : 0;
  onProgress?.({ file: path, receivedBytes, totalBytes: size });
  const reader = bodyReader(response);
  const end = (): void => void reader.cancel().catch(() => {});
  const timer = setTimeout(end, hub.answerTimeoutMs * 10);
  hub.signal?.addEventListener("abort", end, { once: true });
  const handle = await open(partial, continues ? "a" : "w");
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      timer.refresh();
      if (receivedBytes + next.value.length > size) throw tooLong(place, file);
      await handle.writeFile(next.value);
      receivedBytes += next.value.length;
      onProgress?.({ file: path, receivedBytes, totalBytes: size });
    }
    if (hub.signal?.aborted) throw stopped();
    if (receivedBytes < size) throw new Cut(place, file, receivedBytes, undefined);
    await handle.sync();
  } catch (error) {
    if (hub.signal?.aborted) throw stopped();
    if (error instanceof OnewordError || error instanceof Cut || isDiskTrouble(error)) throw error;
    throw new Cut(place, file, receivedBytes, error);
  } finally {
    clearTimeout(timer);
    hub.signal?.removeEventListener("abort", end);
    end();
    await handle.close();
  }
}

/** What another request would not cure. */
const isDiskTrouble = (error: unknown): boolean =>
  ["disk-full", "ENOSPC", "EDQUOT", "EACCES", "EROFS", "EIO", "EPERM"].includes(
    (error as NodeJS.ErrnoException).code ?? "",
  );

function tooLong({ repo }: Place, { path, size }: HubFile): ModelError {
  return new ModelError("checksum", `${repo}: ${path} is longer than the ${size} bytes the hub lists. Pull again.`);
}

async function check({ repo }: Place, file: HubFile, partial: string, signal: AbortSignal | undefined): Promise<void> {
  if (!file.sha256) return;
  const sha256 = await computeSha256(partial, signal);
  if (sha256 === file.sha256) return;
  await rm(partial);
  const advice = "Nothing of it was kept. Pull again; if it stays so, the mirror or a proxy changes the file.";
  throw new ModelError(
    "checksum",
    `${repo}: ${file.path} has the sha256 ${sha256}, but the hub lists ${file.sha256}. ${advice}`,
  );
}
