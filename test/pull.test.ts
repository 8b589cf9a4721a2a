import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { Manifest } from "../src/files/cached-models.ts";
import { listModels, pullModel } from "../src/files/pull.ts";
import { type FetchProgress, type ResolveOptions, resolveModel } from "../src/files/resolve-model.ts";
import { FakeHub, type FakeRepo, sha256 } from "./fake-hub.ts";

const name = "maker/tiny";
const commit = "a".repeat(40);
const weights = Buffer.alloc(300_000, "weights of a model ");
const sideFiles = {
  "README.md": Buffer.from("not needed"),
  "config.json": Buffer.from('{"model_type":"llama"}'),
  "special_tokens_map.json": Buffer.from("{}"),
  "tokenizer.json": Buffer.from('{"version":"1.0"}'),
  "tokenizer_config.json": Buffer.from("{}"),
};
const single = (): FakeRepo => ({ commit, files: { ...sideFiles, "model.safetensors": Buffer.from(weights) } });
const index = (shards: string[]): Buffer =>
  Buffer.from(JSON.stringify({ weight_map: Object.fromEntries(shards.map((shard, i) => [`layer${i}`, shard])) }));

let root: string;
let cacheDir: string;
let hub: FakeHub;
let options: ResolveOptions;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "oneword-pull-"));
  cacheDir = join(root, "cache");
  options = { cacheDir, answerTimeoutMs: 1000 };
  hub = await FakeHub.start();
  hub.repos[name] = single();
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_HOME", join(root, "huggingface"));
  for (const unset of ["HF_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "ONEWORD_OFFLINE", "HF_HUB_OFFLINE"]) {
    vi.stubEnv(unset, undefined);
  }
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.stop();
  await rm(root, { recursive: true, force: true });
});

const folder = (): string => join(cacheDir, "models", "maker--tiny");
const partialFile = (): string => join(cacheDir, "partial", "maker--tiny", "model.safetensors.partial");
const readManifest = async (): Promise<Manifest> => JSON.parse(await readFile(join(folder(), "oneword.json"), "utf8"));
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail("no error"),
    (error: Error) => error,
  );

describe("a model of the hub", () => {
  test("comes with its side files, and is found in the cache without the hub from then on", async () => {
    const first = await resolveModel(name, options);
    expect(first).toEqual({
      name,
      source: "hub",
      weights: { kind: "safetensors", file: join(folder(), "model.safetensors") },
      config: join(folder(), "config.json"),
      tokenizer: join(folder(), "tokenizer.json"),
      tokenizerConfig: join(folder(), "tokenizer_config.json"),
      identity: `${name}@${commit}`,
    });
    expect((await readFile(first.weights.file)).equals(weights)).toBe(true);
    expect(existsSync(join(folder(), "README.md"))).toBe(false);
    const requests = hub.requests.length;
    for (const asked of [name, `${name}@${commit}`]) {
      const again = await resolveModel(asked, { ...options, offline: true });
      expect(again).toEqual({ ...first, name: asked, source: "cache" });
    }
    expect(hub.requests.length).toBe(requests);
  });

  test("has a manifest with every file's size and sha256, and leaves nothing beside it", async () => {
    await resolveModel(name, options);
    const manifest = await readManifest();
    expect(manifest).toMatchObject({ name, source: "hub", commit, identity: `${name}@${commit}` });
    expect(manifest.files).toContainEqual({ path: "model.safetensors", size: weights.length, sha256: sha256(weights) });
    const here = await readdir(folder());
    expect(here.sort()).toEqual([...manifest.files.map(({ path }) => path), "oneword.json"].sort());
    expect(await readdir(join(cacheDir, "partial"))).toEqual([]);
    expect(await readdir(join(cacheDir, "locks"))).toEqual([]);
  });

  test("comes in shards", async () => {
    const [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    const files = { ...sideFiles, "model.safetensors.index.json": index([first, second, first]) };
    hub.repos[name] = { commit, files: { ...files, [first]: weights, [second]: Buffer.from("second shard") } };
    const found = await resolveModel(name, options);
    expect(found.weights.kind).toBe("safetensors-index");
    expect(await readFile(join(folder(), second), "utf8")).toBe("second shard");
  });

  test.each(["../../evil.safetensors", "/etc/evil", "sub/evil.safetensors", ".hidden", "a\\..\\b"])(
    "is refused with a shard at %j",
    async (shard) => {
      hub.repos[name] = { commit, files: { ...sideFiles, "model.safetensors.index.json": index([shard]) } };
      await expect(resolveModel(name, options)).rejects.toMatchObject({ code: "corrupt-file" });
      expect(existsSync(folder())).toBe(false);
    },
  );

  test("may be a single GGUF file", async () => {
    hub.repos[name] = { commit, files: { "tiny.Q4_0.gguf": weights, "README.md": Buffer.from("") } };
    const found = await resolveModel(name, options);
    expect(found.weights).toEqual({ kind: "gguf", file: join(folder(), "tiny.Q4_0.gguf") });
  });

  test("with pickled weights only is refused with what to do", async () => {
    hub.repos[name] = { commit, files: { ...sideFiles, "pytorch_model.bin": weights } };
    const error = await failure(resolveModel(name, options));
    expect(error).toMatchObject({ code: "model-not-found" });
    expect(error.message).toMatch(/pytorch_model\.bin.*safetensors/);
    expect(hub.storageRequests).toEqual([]);
  });

  test("without a tokenizer.json is refused before its weights come", async () => {
    const { "tokenizer.json": _, ...files } = sideFiles;
    hub.repos[name] = { commit, files: { ...files, "model.safetensors": weights } };
    await expect(resolveModel(name, options)).rejects.toMatchObject({ code: "tokenizer" });
    expect(hub.storageRequests).toEqual([]);
  });

  test("may have vocab.json and merges.txt instead, as OPT has, and is found with them", async () => {
    const { "tokenizer.json": _, ...files } = sideFiles;
    const pair = { "vocab.json": Buffer.from('{"a":0}'), "merges.txt": Buffer.from("#version: 0.2\n") };
    hub.repos[name] = { commit, files: { ...files, ...pair, "model.safetensors": weights } };
    for (const source of ["hub", "cache"]) {
      expect(await resolveModel(name, options)).toMatchObject({ source, tokenizer: join(folder(), "vocab.json") });
    }
    expect((await readFile(join(folder(), "merges.txt"))).equals(pair["merges.txt"])).toBe(true);
  });

  test("has its tokenizer.json fetched alone where it has all three", async () => {
    hub.repos[name]!.files["vocab.json"] = hub.repos[name]!.files["merges.txt"] = Buffer.from("{}");
    expect(await resolveModel(name, options)).toMatchObject({ tokenizer: join(folder(), "tokenizer.json") });
    expect(await readdir(folder())).not.toContain("vocab.json");
  });

  test("that is fetched anew after another commit came holds that commit's files alone", async () => {
    await resolveModel(name, options);
    await truncate(join(folder(), "model.safetensors"), 10);
    const { files } = hub.repos[name]!;
    hub.repos[name]!.commit = "b".repeat(40);
    files["vocab.json"] = files["merges.txt"] = Buffer.from("{}");
    delete files["tokenizer.json"];
    expect(await pullModel(name, options)).toMatchObject({ identity: `${name}@${"b".repeat(40)}` });
    expect(await readdir(folder())).not.toContain("tokenizer.json");
  });

  test("reports each file's bytes up to its size", async () => {
    const seen: FetchProgress[] = [];
    await resolveModel(name, { ...options, onProgress: (progress) => seen.push(progress) });
    const ofWeights = seen.filter(({ file }) => file === "model.safetensors");
    expect(ofWeights[0]).toEqual({ file: "model.safetensors", receivedBytes: 0, totalBytes: weights.length });
    expect(ofWeights.at(-1)?.receivedBytes).toBe(weights.length);
  });

  test("is fetched again where the cached one is damaged, and offline named as damaged", async () => {
    await resolveModel(name, options);
    await truncate(join(folder(), "model.safetensors"), 10);
    expect(await listModels({ cacheDir })).toMatchObject([{ name, complete: false }]);
    const error = await failure(resolveModel(name, { ...options, offline: true }));
    expect(error).toMatchObject({ code: "corrupt-file" });
    expect(error.message).toMatch(/model\.safetensors has 10 bytes, not the 300000.*oneword pull maker\/tiny/);
    expect((await pullModel(name, options)).source).toBe("hub");
    expect((await readFile(join(folder(), "model.safetensors"))).equals(weights)).toBe(true);
    expect(await listModels({ cacheDir })).toMatchObject([{ name, source: "hub", path: folder(), complete: true }]);
  });
});

describe("a download that is cut", () => {
  test("goes on within the same pull while bytes come", async () => {
    hub.cutAfterBytes = 100_000;
    const found = await resolveModel(name, options);
    expect((await readFile(found.weights.file)).equals(weights)).toBe(true);
    const ranges = hub.storageRequests.map(({ headers }) => headers.range);
    expect(ranges.length).toBeGreaterThan(2);
    expect([...new Set(ranges)]).toEqual(ranges); // each goes on further than the one before
  });

  test("leaves no model, and the next pull goes on from there", async () => {
    const controller = new AbortController();
    hub.stallAfterBytes = 120_000;
    const onProgress = ({ receivedBytes }: FetchProgress): void => {
      if (receivedBytes >= 120_000) controller.abort();
    };
    const error = await failure(resolveModel(name, { ...options, signal: controller.signal, onProgress }));
    expect(error).toMatchObject({ code: "aborted" });
    expect(existsSync(folder())).toBe(false);
    expect(await readdir(join(cacheDir, "locks"))).toEqual([]);
    await expect(resolveModel(name, { ...options, offline: true })).rejects.toMatchObject({ code: "offline" });
    expect(await listModels({ cacheDir })).toMatchObject([{ name, source: "hub", complete: false }]);
    hub.stallAfterBytes = Number.POSITIVE_INFINITY;
    const begun = (await readFile(partialFile())).length;
    expect(begun).toBeGreaterThan(0);
    const found = await resolveModel(name, options);
    expect((await readFile(found.weights.file)).equals(weights)).toBe(true);
    expect(hub.storageRequests.at(-1)?.headers.range).toBe(`bytes=${begun}-`);
  });

  test("starts over where the file has become another one", async () => {
    hub.cutAfterBytes = 0;
    await failure(resolveModel(name, options));
    await writeFile(partialFile(), weights.subarray(0, 1000));
    hub.cutAfterBytes = Number.POSITIVE_INFINITY;
    const other = Buffer.alloc(weights.length, "other weights ");
    const otherCommit = "b".repeat(40);
    const config = Buffer.from('{"model_type":"mamba"}'); // of the same length
    hub.repos[name] = {
      commit: otherCommit,
      files: { ...single().files, "config.json": config, "model.safetensors": other },
    };
    const found = await resolveModel(name, options);
    expect((await readFile(found.weights.file)).equals(other)).toBe(true);
    expect(await readFile(found.config!)).toEqual(config);
    expect(found.identity).toBe(`${name}@${otherCommit}`);
  });

  test("starts over where the server ignores the range", async () => {
    hub.cutAfterBytes = 100_000;
    hub.ignoresRange = true;
    await failure(resolveModel(name, options));
    hub.cutAfterBytes = Number.POSITIVE_INFINITY;
    const found = await resolveModel(name, options);
    expect((await readFile(found.weights.file)).equals(weights)).toBe(true);
  });

  test("is cut by a server that stops sending, with a line that says so", async () => {
    hub.stallAfterBytes = 0;
    const error = await failure(resolveModel(name, { ...options, answerTimeoutMs: 200 }));
    expect(error).toMatchObject({ code: "download" });
    expect(error.message).toMatch(/model\.safetensors broke off after 0 of 300000 bytes\. Pull again/);
  });

  test("by a full disk says so", { skip: !existsSync("/dev/full") }, async () => {
    hub.cutAfterBytes = 0;
    await failure(resolveModel(name, options));
    hub.cutAfterBytes = Number.POSITIVE_INFINITY;
    await rm(partialFile());
    await symlink("/dev/full", partialFile());
    const error = await failure(resolveModel(name, options));
    expect(error).toMatchObject({ name: "CapacityError", code: "disk-full" });
    expect(existsSync(folder())).toBe(false);
  });
});

describe("a hub that is not well", () => {
  test("with other bytes than it lists lands nothing and keeps nothing", async () => {
    hub.isLying = true;
    const error = await failure(resolveModel(name, options));
    expect(error).toMatchObject({ code: "checksum" });
    expect(existsSync(folder())).toBe(false);
    expect(existsSync(partialFile())).toBe(false);
    hub.isLying = false;
    expect((await readFile((await resolveModel(name, options)).weights.file)).equals(weights)).toBe(true);
  });

  test("that does not answer is given up after the time, with a line that says so", async () => {
    hub.isSilent = true;
    const startedAt = performance.now();
    const error = await failure(resolveModel(name, { ...options, answerTimeoutMs: 300 }));
    expect(performance.now() - startedAt).toBeLessThan(2000);
    expect(error).toMatchObject({ code: "download" });
    expect(error.message).toMatch(/^http:.* does not answer within 0\.3 s\. .*HF_ENDPOINT/);
  });

  test("that is not there gives one line", async () => {
    vi.stubEnv("HF_ENDPOINT", "http://127.0.0.1:1");
    await expect(resolveModel(name, options)).rejects.toMatchObject({
      code: "download",
      message: expect.stringMatching(/cannot be reached/),
    });
  });

  test("an HF_ENDPOINT that is no URL is named", async () => {
    vi.stubEnv("HF_ENDPOINT", "huggingface.co");
    await expect(resolveModel(name, options)).rejects.toThrow(/HF_ENDPOINT is "huggingface\.co"/);
  });

  test("is asked again after 503 and 429", async () => {
    hub.statuses = [503, 429];
    hub.errorHeaders = { "retry-after": "0" };
    expect((await resolveModel(name, options)).source).toBe("hub");
  });

  test("is given up after some 500s", async () => {
    hub.statuses = Array(9).fill(500);
    hub.errorHeaders = { "retry-after": "0" };
    await expect(resolveModel(name, options)).rejects.toThrow(/answers HTTP 500 4 times/);
    expect(hub.requests.length).toBe(4);
  });

  test("without the model suggests near names", async () => {
    const error = await failure(resolveModel("facebook/opt-125", options));
    expect(error).toMatchObject({ code: "model-not-found" });
    expect(error.message).toMatch(/has no facebook\/opt-125.*Did you mean opt-125m/);
  });

  test("without the revision says that it is the revision", async () => {
    const error = await failure(resolveModel(`${name}@v9`, options));
    expect(error).toMatchObject({ code: "model-not-found" });
    expect(error.message).toMatch(/not the revision of maker\/tiny@v9/);
  });

  test("that answers something else is no hub", async () => {
    hub.statuses = [200];
    await expect(resolveModel(name, options)).rejects.toThrow(/not as a model hub/);
  });

  test("that stays silent can be left by a signal", async () => {
    hub.isSilent = true;
    const stop = new AbortController();
    const pulled = resolveModel(name, { ...options, answerTimeoutMs: 60_000, signal: stop.signal });
    await vi.waitUntil(() => hub.requests.length > 0);
    stop.abort();
    await expect(pulled).rejects.toMatchObject({ code: "aborted" });
    expect(await readdir(join(cacheDir, "locks"))).toEqual([]);
  });
});

describe("the token", () => {
  test("goes to the hub, and not to where the hub sends for the bytes", async () => {
    hub.token = "secret";
    vi.stubEnv("HF_TOKEN", "secret\n");
    await resolveModel(name, options);
    expect(new Set(hub.requests.map(({ headers }) => headers.authorization))).toEqual(new Set(["Bearer secret"]));
    expect(hub.storageRequests.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test("may lie in the Hugging Face folder", async () => {
    hub.token = "from-file";
    await mkdir(join(root, "huggingface"), { recursive: true });
    await writeFile(join(root, "huggingface", "token"), "from-file\n");
    expect((await resolveModel(name, options)).source).toBe("hub");
  });

  test("is asked for where there is none, and never shown", async () => {
    hub.token = "secret";
    const without = await failure(resolveModel(name, options));
    expect(without).toMatchObject({ code: "download" });
    expect(without.message).toMatch(/refuses access \(HTTP 401\).*set HF_TOKEN/);
    vi.stubEnv("HF_TOKEN", "wrong-one");
    const wrong = await failure(resolveModel(name, options));
    expect(wrong.message).toMatch(/HTTP 401.*HF_TOKEN/);
    expect(wrong.message).not.toContain("wrong-one");
  });
});

describe("two at once", () => {
  test("in one process fetch a model once", async () => {
    const both = await Promise.all([resolveModel(name, options), resolveModel(name, options)]);
    expect(both.map(({ source }) => source).sort()).toEqual(["cache", "hub"]);
    expect(hub.storageRequests.length).toBe(1);
  });

  test("a lock that a dead process left is taken over", async () => {
    const lock = join(cacheDir, "locks", "maker--tiny.lock");
    await mkdir(lock, { recursive: true });
    await utimes(lock, new Date(0), new Date(0));
    expect((await resolveModel(name, options)).source).toBe("hub");
  });

  test("waiting for the other one can be stopped", async () => {
    await mkdir(join(cacheDir, "locks", "maker--tiny.lock"), { recursive: true });
    const pulled = resolveModel(name, { ...options, signal: AbortSignal.timeout(50) });
    await expect(pulled).rejects.toMatchObject({ code: "aborted" });
  });

  describe("in two processes", () => {
    const project = resolve(import.meta.dirname, "..");
    const run = promisify(execFile);
    let built: string;

    beforeAll(async () => {
      await mkdir(join(project, "build"), { recursive: true }); // below the project, so that its dependencies are found
      built = await mkdtemp(join(project, "build", "pull-test-"));
      const compiler = join(project, "node_modules/typescript/bin/tsc");
      const flags = ["-p", "tsconfig.build.json", "--outDir", built, "--noCheck", "--declaration", "false"];
      await run(process.execPath, [compiler, ...flags], { cwd: project });
      const script = `import { resolveModel } from ${JSON.stringify(join(built, "files/resolve-model.js"))};
        const { source, identity } = await resolveModel(process.argv[2], { cacheDir: process.argv[3] });
        console.log(JSON.stringify({ source, identity }));`;
      await writeFile(join(built, "resolve.mjs"), script);
    });
    afterAll(() => rm(built, { recursive: true, force: true }));

    test("one fetches, the other finds it", async () => {
      const start = () => run(process.execPath, [join(built, "resolve.mjs"), name, cacheDir]);
      const outputs = await Promise.all([start(), start()]);
      const found = outputs.map(({ stdout }) => JSON.parse(stdout) as { source: string; identity: string });
      expect(found.map(({ source }) => source).sort()).toEqual(["cache", "hub"]);
      expect(found[0]!.identity).toBe(found[1]!.identity);
      expect(hub.storageRequests.length).toBe(1);
    });
  });
});
