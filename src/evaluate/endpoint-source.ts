import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { InputError, ModelError } from "../errors.ts";
import { backOffMs, mayPass } from "../files/hub-request.ts";
import type { VectorSource } from "./vector-source.ts";

export interface EndpointOptions {
  /** Model to ask for; without a name the server takes its own, and nothing is kept on disk. */
  readonly model?: string | undefined;
  /** Sent as a bearer token. */
  readonly apiKey?: string | undefined;
}

/** Texts of one request: servers commonly refuse more. */
const maxTexts = 32;
const maxAttempts = 4;

/**
 * Any server with OpenAI's `POST /v1/embeddings`. An empty text, which servers refuse, goes as a full stop, as in SentEval's
 * examples (examples/bow.py).
 * @param url  the server, `/v1` or the whole path
 * @throws InputError "bad-option" for what is no URL; when asked, ModelError "download" for a server that fails
 */
export function endpointSource(url: string, { model, apiKey }: EndpointOptions = {}): VectorSource {
  if (!/^https?:\/\/[^/]/.test(url) || !URL.canParse(url)) {
    throw new InputError("bad-option", `--endpoint ${url}: is no URL. Write it like http://127.0.0.1:8080.`);
  }
  const address = `${url.replace(/\/+$/, "").replace(/(\/v1)?(\/embeddings)?$/, "")}/v1/embeddings`;
  const id = createHash("sha256").update(`${address} ${model}`).digest("hex").slice(0, 16);
  return {
    name: model ?? new URL(url).host,
    id: model === undefined ? null : `endpoint-${id}`,
    async embed(texts, signal) {
      const vectors: Float32Array[] = [];
      for (let start = 0; start < texts.length; start += maxTexts) {
        const input = texts.slice(start, start + maxTexts).map((text) => (text.trim() === "" ? "." : text));
        const body = JSON.stringify({ model: model ?? "default", input, encoding_format: "float" });
        vectors.push(...readAnswer(await ask(address, body, apiKey, signal), input.length, address));
      }
      return vectors.map((embedding) => ({ embedding, isTruncated: false }));
    },
  };
}

/** Asks, and again where the server is busy. */
async function ask(address: string, body: string, apiKey: string | undefined, signal: AbortSignal | undefined) {
  const headers = { "content-type": "application/json", ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}) };
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(address, { method: "POST", headers, body, ...(signal ? { signal } : {}) }).catch(
      (cause) => {
        signal?.throwIfAborted();
        const reason = (cause as Error & { cause?: Error }).cause?.message ?? (cause as Error).message;
        throw new ModelError("download", `${address}: cannot be reached (${reason}). Is the server running?`, {
          cause,
        });
      },
    );
    if (response.ok) {
      return (response.json() as Promise<unknown>).catch((cause: Error) => {
        signal?.throwIfAborted();
        throw new ModelError("download", `${address}: answers, but not with JSON (${cause.message}).`, { cause });
      });
    }
    const said = (await response.text().catch(() => "")).slice(0, 300); // a body that breaks off says nothing
    if (!mayPass(response) || attempt === maxAttempts) {
      throw new ModelError("download", `${address}: answers HTTP ${response.status}: ${said || "nothing more"}.`);
    }
    await pause(backOffMs(attempt), undefined, signal ? { signal } : {});
  }
}

/** `{"data":[{"index":0,"embedding":[…]},…]}`, in any order. */
function readAnswer(json: unknown, count: number, address: string): Float32Array[] {
  const data = (json as { readonly data?: unknown } | null)?.data;
  const vectors = new Array<Float32Array | undefined>(count).fill(undefined);
  for (const [i, row] of (Array.isArray(data) ? data : []).entries()) {
    const { index, embedding } = (row ?? {}) as { readonly index?: number; readonly embedding?: unknown };
    const isVector = Array.isArray(embedding) && embedding.length > 0;
    if (isVector && embedding.every((value) => Number.isFinite(value)))
      vectors[index ?? i] = Float32Array.from(embedding);
  }
  const missing = vectors.indexOf(undefined);
  if (missing < 0 && vectors.length === count) return vectors as Float32Array[];
  throw new ModelError(
    "download",
    `${address}: ${count} texts were sent, but no vector came back for number ${missing}.`,
  );
}
