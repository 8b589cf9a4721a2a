import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { InputError, ModelError, OnewordError } from "../errors.ts";
import { huggingFaceHome } from "./cache-folder.ts";
import { suggestions } from "./known-models.ts";
import type { ResolveOptions } from "./resolve-model.ts";

const maxAttempts = 4;
const maxRetryDelayMs = 10_000;

/** A hub and how to talk to it. */
export interface Hub {
  readonly endpoint: string;
  readonly token: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly answerTimeoutMs: number;
}

/** Reads HF_ENDPOINT and the token: HF_TOKEN, else the file that other tools keep it in. */
export async function openHub({ signal, answerTimeoutMs = 3000 }: ResolveOptions): Promise<Hub> {
  const endpoint = (process.env.HF_ENDPOINT || "https://huggingface.co").trim().replace(/\/+$/, "");
  if (!/^https?:\/\/[^/]/.test(endpoint) || !URL.canParse(endpoint)) {
    throw new ModelError(
      "download",
      `HF_ENDPOINT is ${JSON.stringify(endpoint)}; it must be like https://huggingface.co.`,
    );
  }
  const file = process.env.HF_TOKEN_PATH || join(huggingFaceHome(), "token");
  const token = (process.env.HF_TOKEN || (await readFile(file, "utf8").catch(() => ""))).trim() || undefined;
  return { endpoint, token, signal, answerTimeoutMs };
}

/**
 * Asks the hub, again after 429 and 5xx. The token goes to the hub alone: fetch drops it where the answer leads elsewhere.
 * @param about  what is asked for, for messages: owner/name or owner/name@revision
 * @returns an answer with a status of 2xx; its body may still come
 */
export async function ask(
  hub: Hub,
  url: string | URL,
  about: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const response = await askOnce(hub, url, { ...authorization(hub), "accept-encoding": "identity", ...headers });
    if (response.ok) return response;
    await response.body?.cancel().catch(() => {});
    if (!mayPass(response) || attempt === maxAttempts) throw statusError(hub, response, about);
    await pause(retryDelayMs(response, attempt), undefined, hub.signal ? { signal: hub.signal } : {}).catch(() => {
      throw stopped();
    });
  }
}

/** Whether it is worth asking again: the server is busy, or broken for now. */
export const mayPass = ({ status }: Response): boolean => status === 429 || status >= 500;

/** Before the next attempt; 100 ms, and three times as long each time. */
export const backOffMs = (attempt: number): number => 100 * 3 ** (attempt - 1);

/** The same for small answers: the whole body has to come within the time. */
export async function askWhole(hub: Hub, url: string | URL, about: string): Promise<Response> {
  const response = await ask(hub, url, about);
  const reader = bodyReader(response);
  const read = async (): Promise<Buffer> => {
    const chunks: Uint8Array[] = [];
    for (let next = await reader.read(); !next.done; next = await reader.read()) chunks.push(next.value);
    return Buffer.concat(chunks);
  };
  const body = await within(hub, hub.answerTimeoutMs * 10, read, () => void reader.cancel().catch(() => {}));
  return new Response(new Uint8Array(body), { status: response.status, headers: response.headers });
}

/** Reads an answer's bytes; `cancel` ends a pending read and lets go of the connection. */
export function bodyReader(response: Response): ReadableStreamDefaultReader<Uint8Array> {
  return (response.body ?? new Blob([]).stream()).getReader();
}

export const stopped = (): InputError =>
  new InputError("aborted", "stopped while a model was fetched; the next pull goes on.");

const authorization = ({ token }: Hub): Record<string, string> => (token ? { authorization: `Bearer ${token}` } : {});

async function askOnce(hub: Hub, url: string | URL, headers: Record<string, string>): Promise<Response> {
  const controller = new AbortController();
  return within(
    hub,
    hub.answerTimeoutMs,
    () => fetch(url, { headers, signal: controller.signal }),
    () => controller.abort(),
  );
}

/** Waits for `work` until the time is over or the caller stops it; then `giveUp` has it let go of the connection. */
async function within<T>(hub: Hub, timeoutMs: number, work: () => Promise<T>, giveUp: () => void): Promise<T> {
  if (hub.signal?.aborted) throw stopped();
  let timer: NodeJS.Timeout | undefined;
  let stop: (() => void) | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unreachable(hub, `does not answer within ${timeoutMs / 1000} s`)), timeoutMs);
    stop = () => reject(stopped());
    hub.signal?.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([work(), end]);
  } catch (error) {
    giveUp();
    if (error instanceof OnewordError) throw error;
    const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
    const reason = cause?.message || cause?.code || (error as Error).message;
    throw unreachable(hub, `cannot be reached (${reason})`, error);
  } finally {
    clearTimeout(timer);
    if (stop) hub.signal?.removeEventListener("abort", stop);
  }
}

function unreachable({ endpoint }: Hub, what: string, cause?: unknown): ModelError {
  const advice = "Check the network, name a mirror in HF_ENDPOINT, or give a local folder as the model.";
  return new ModelError("download", `${endpoint} ${what}. ${advice}`, { cause });
}

function retryDelayMs(response: Response, attempt: number): number {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) ? Math.min(maxRetryDelayMs, Math.max(0, seconds * 1000)) : backOffMs(attempt);
}

function statusError(hub: Hub, { status, headers }: Response, about: string): ModelError {
  const reason = headers.get("x-error-code"); // says more than the status: a missing repository is answered by 401
  const repo = about.split("@")[0]!;
  if (reason === "RevisionNotFound") {
    return new ModelError(
      "model-not-found",
      `${hub.endpoint} has ${repo}, but not the revision of ${about}. Check it.`,
    );
  }
  if (status === 404 || status === 410 || reason === "RepoNotFound") {
    const orPrivate = hub.token ? "the token has no access to it" : "it is private (then set HF_TOKEN)";
    return new ModelError(
      "model-not-found",
      `${hub.endpoint} has no ${about}, or ${orPrivate}. Check the spelling of owner/name. ${suggestions(repo)}`,
    );
  }
  if (status === 401 || status === 403) {
    const advice = hub.token
      ? `The token (HF_TOKEN) is not valid or has no access; ask for it on ${hub.endpoint}/${repo}.`
      : `Accept its terms on ${hub.endpoint}/${repo} if it is gated, and set HF_TOKEN to a token that has access.`;
    return new ModelError("download", `${about}: ${hub.endpoint} refuses access (HTTP ${status}). ${advice}`);
  }
  const tries = status === 429 || status >= 500 ? ` ${maxAttempts} times` : "";
  return new ModelError("download", `${about}: ${hub.endpoint} answers HTTP ${status}${tries}. Try again later.`);
}
