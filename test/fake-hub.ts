import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What the hub has under one name: owner/name, or datasets/owner/name. */
export interface FakeRepo {
  commit: string;
  files: Record<string, Buffer>;
}

export interface FakeRequest {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
}

const isLarge = (path: string): boolean => /\.(safetensors|gguf|bin|tar)$/.test(path);
const gitOid = (bytes: Buffer): string =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
export const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/**
 * A server that behaves like the Hugging Face hub as far as a download sees it: the model's commit, the listing of its
 * files, and the files, the large ones by a redirect to a second server. Its moods are fields that tests set.
 */
export class FakeHub {
  readonly repos: Record<string, FakeRepo> = {};
  readonly requests: FakeRequest[] = [];
  readonly storageRequests: FakeRequest[] = [];
  /** Statuses of the next answers, instead of what they would be. */
  statuses: number[] = [];
  /** Sent with those statuses. */
  errorHeaders: Record<string, string> = {};
  /** Accepts connections and says nothing. */
  isSilent = false;
  /** Asks for this token. */
  token: string | undefined;
  /** Large files break off after so many bytes of an answer. */
  cutAfterBytes = Number.POSITIVE_INFINITY;
  /** Large files stop coming after so many bytes of an answer, and the connection stays. */
  stallAfterBytes = Number.POSITIVE_INFINITY;
  /** Large files have their first byte changed. */
  isLying = false;
  /** Answers a Range with the whole file. */
  ignoresRange = false;
  readonly #api: Server;
  readonly #storage: Server;

  private constructor() {
    this.#api = createServer((request, response) => this.#answer(request, response));
    this.#storage = createServer((request, response) => this.#sendLarge(request, response));
  }

  static async start(): Promise<FakeHub> {
    const hub = new FakeHub();
    await Promise.all([hub.#api, hub.#storage].map((server) => listen(server)));
    return hub;
  }

  get endpoint(): string {
    return addressOf(this.#api);
  }

  async stop(): Promise<void> {
    for (const server of [this.#api, this.#storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): ServerResponse {
    const url = new URL(request.url!, this.endpoint);
    this.requests.push({ path: url.pathname, headers: request.headers });
    if (this.isSilent) return response;
    const status = this.statuses.shift();
    if (status !== undefined) return send(response, status, "", this.errorHeaders);
    if (this.token !== undefined && request.headers.authorization !== `Bearer ${this.token}`) {
      return send(response, 401, '{"error":"Invalid username or password."}');
    }
    const path = url.pathname.replace(/^\/api\/(models\/)?/, "/");
    const [, name, rest] = /^\/((?:datasets\/)?[^/]+\/[^/]+)\/(.*)$/.exec(path) ?? [];
    const repo = this.repos[name ?? ""];
    if (!repo || rest === undefined) return send(response, 404, "");
    const [verb, revision = "", ...file] = rest.split("/").map(decodeURIComponent);
    if (revision !== "main" && revision !== repo.commit) {
      return send(response, 404, "", { "x-error-code": "RevisionNotFound" });
    }
    if (verb === "revision") return sendJson(response, { _id: "1", id: name, sha: repo.commit, private: false });
    if (verb === "tree") return this.#list(repo, url, response);
    return this.#sendFile(name!, file.join("/"), request, response);
  }

  /** Two files a page, as the real one has pages of many. */
  #list({ files }: FakeRepo, url: URL, response: ServerResponse): ServerResponse {
    const all = Object.entries(files).map(([path, bytes]) => {
      const entry = { type: "file", path, oid: gitOid(bytes), size: isLarge(path) ? 134 : bytes.length };
      return isLarge(path) ? { ...entry, lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } } : entry;
    });
    const start = Number(url.searchParams.get("cursor") ?? 0);
    url.searchParams.set("cursor", String(start + 2));
    const headers: Record<string, string> = start + 2 < all.length ? { link: `<${url.href}>; rel="next"` } : {};
    return sendJson(response, all.slice(start, start + 2), headers);
  }

  #sendFile(name: string, path: string, request: IncomingMessage, response: ServerResponse): ServerResponse {
    const bytes = this.repos[name]!.files[path];
    if (!bytes) return send(response, 404, "", { "x-error-code": "EntryNotFound" });
    if (!isLarge(path)) return sendBytes(request, response, bytes);
    const location = `${addressOf(this.#storage)}/${name}/${path}`;
    return send(response, 302, "", { location, "x-linked-etag": `"${sha256(bytes)}"` });
  }

  #sendLarge(request: IncomingMessage, response: ServerResponse): void {
    const [, name, path] = /^\/((?:datasets\/)?[^/]+\/[^/]+)\/(.*)$/.exec(request.url!) ?? [];
    this.storageRequests.push({ path: request.url!, headers: request.headers });
    let bytes = this.repos[name!]!.files[path!]!;
    if (this.isLying) bytes = Buffer.concat([Buffer.from([bytes[0]! ^ 1]), bytes.subarray(1)]);
    if (this.ignoresRange) request.headers.range = undefined;
    sendBytes(request, response, bytes, this.cutAfterBytes, this.stallAfterBytes);
  }
}

function sendBytes(
  request: IncomingMessage,
  response: ServerResponse,
  bytes: Buffer,
  cutAfter = Number.POSITIVE_INFINITY,
  stallAfter = Number.POSITIVE_INFINITY,
): ServerResponse {
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1];
  const start = Number(range ?? 0);
  const headers = { "content-length": bytes.length - start, etag: `"${sha256(bytes)}"` };
  const contentRange = { "content-range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
  response.writeHead(range ? 206 : 200, range ? { ...headers, ...contentRange } : headers);
  const isCut = start + cutAfter < bytes.length;
  const isStalled = start + stallAfter < bytes.length;
  response.write(bytes.subarray(start, Math.min(bytes.length, start + cutAfter, start + stallAfter)), () => {
    if (isCut) response.destroy();
    else if (!isStalled) response.end();
  });
  return response;
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Record<string, string> = {},
): ServerResponse {
  return response.writeHead(status, headers).end(body);
}

const sendJson = (response: ServerResponse, value: unknown, headers: Record<string, string> = {}): ServerResponse =>
  send(response, 200, JSON.stringify(value), { "content-type": "application/json", ...headers });

const addressOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const listen = (server: Server): Promise<void> =>
  new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
