import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { cacheFolder } from "./cache-folder.ts";
import { sha256OfFile } from "./checksum.ts";
import { defaultModel } from "./known-models.ts";
import { listModels } from "./pull.ts";
import { resolveModel } from "./resolve-model.ts";

const commit = "c".repeat(40);
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
let root: string;
let cacheDir: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "oneword-resolve-"));
  cacheDir = join(root, "cache");
  vi.stubEnv("HF_HOME", join(root, "huggingface"));
  vi.stubEnv("HF_HUB_CACHE", undefined);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true, force: true });
});

/** Writes files into a folder below the test's own, and gives its path. */
async function folderWith(name: string, files: Record<string, string>): Promise<string> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name, path)), { recursive: true });
    await writeFile(join(root, name, path), text);
  }
  return join(root, name);
}

const resolve = (name: string) => resolveModel(name, { cacheDir, offline: true });
const memos = async (): Promise<string[]> =>
  (await readdir(join(cacheDir, "checksums"))).map((name) => join(cacheDir, "checksums", name));
const edit = async (file: string, change: object): Promise<void> =>
  writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), ...change }));
const sides = { "config.json": "{}", "tokenizer.json": "{}" };
const index = (...shards: string[]): string =>
  JSON.stringify({ weight_map: Object.fromEntries(shards.map((shard, i) => [`layer${i}`, shard])) });

describe("a local path", () => {
  test("may be a folder with safetensors", async () => {
    const folder = await folderWith("model", { ...sides, "model.safetensors": "weights" });
    expect(await resolve(folder)).toEqual({
      name: folder,
      source: "path",
      weights: { kind: "safetensors", file: join(folder, "model.safetensors") },
      config: join(folder, "config.json"),
      tokenizer: join(folder, "tokenizer.json"),
      identity: `sha256:${sha256("weights")}`,
    });
  });

  test("may have vocab.json and merges.txt instead of a tokenizer.json, but not one of them alone", async () => {
    const weights = { "config.json": "{}", "model.safetensors": "weights", "vocab.json": "{}" };
    const half = await folderWith("half", weights);
    expect(await resolve(half)).not.toHaveProperty("tokenizer");
    const folder = await folderWith("model", { ...weights, "merges.txt": "" });
    expect(await resolve(folder)).toMatchObject({ tokenizer: join(folder, "vocab.json") });
  });

  test("may be a folder with shards; the identity is over all of them", async () => {
    const files = {
      ...sides,
      "model.safetensors.index.json": index("b.safetensors", "a.safetensors"),
      "a.safetensors": "A",
    };
    const folder = await folderWith("model", { ...files, "b.safetensors": "B" });
    const { weights, identity } = await resolve(folder);
    expect(weights.kind).toBe("safetensors-index");
    await writeFile(join(folder, "b.safetensors"), "longer");
    expect((await resolve(folder)).identity).not.toBe(identity);
    await rm(join(folder, "b.safetensors"));
    await expect(resolve(folder)).rejects.toMatchObject({ code: "corrupt-file" });
  });

  test.each(["../a.safetensors", "/etc/passwd", "x/a.safetensors"])("is refused with a shard at %s", async (shard) => {
    const folder = await folderWith("model", { ...sides, "model.safetensors.index.json": index(shard) });
    await expect(resolve(folder)).rejects.toMatchObject({ code: "corrupt-file" });
  });

  test("may be a .gguf file, or a folder with exactly one", async () => {
    const folder = await folderWith("model", { "a.gguf": "weights" });
    const file = join(folder, "a.gguf");
    const identity = `sha256:${sha256("weights")}`;
    expect(await resolve(file)).toMatchObject({ source: "path", weights: { kind: "gguf", file }, identity });
    expect(await resolve(folder)).toMatchObject({ source: "path", weights: { kind: "gguf", file }, identity });
    await writeFile(join(folder, "b.gguf"), "");
    await expect(resolve(folder)).rejects.toThrow(/2 GGUF files; name one of them: a\.gguf, b\.gguf/);
  });

  test("with the pinned bits is the default model by identity", async () => {
    const file = join(await folderWith("model", { "copy.gguf": "stands for the pinned bits" }), "copy.gguf");
    await resolve(file);
    for (const memo of await memos()) await edit(memo, { sha256: defaultModel.sha256 });
    expect((await resolve(file)).identity).toBe(`smollm2-135m@sha256:${defaultModel.sha256}`);
  });

  test("that is no model says what it lacks", async () => {
    const empty = await folderWith("empty", { "notes.txt": "" });
    await expect(resolve(empty)).rejects.toThrow(/no model\.safetensors/);
    const pickled = await folderWith("pickled", { ...sides, "pytorch_model.bin": "" });
    await expect(resolve(pickled)).rejects.toThrow(/pytorch_model\.bin, which is not read/);
    const bare = await folderWith("bare", { "model.safetensors": "" });
    await expect(resolve(bare)).rejects.toMatchObject({ code: "config" });
    await expect(resolve(join(bare, "model.safetensors"))).rejects.toThrow(/give the folder/);
    await expect(resolve(join(root, "nowhere.gguf"))).rejects.toThrow(/no such file or folder/);
    vi.spyOn(process, "cwd").mockReturnValue(root); // names that could be hub ids
    await folderWith("x/pickled", { "pytorch_model.bin": "" });
    await expect(resolve("x/pickled")).rejects.toThrow(/pytorch_model\.bin, which is not read/);
    await expect(resolve("bare/model.safetensors")).rejects.toThrow(/give the folder/);
  });
});

describe("a name", () => {
  test.each(["", " ", "smollm2", "a/b/c", "../../etc", "a/..", "@x", "a@b", "a/b@../../x", "a/b@x/../y", "a\0b"])(
    "like %j is no model",
    async (name) => {
      vi.spyOn(process, "cwd").mockReturnValue(root);
      await expect(resolve(name)).rejects.toMatchObject({ code: "model-not-found" });
    },
  );

  test("that is misspelt gets the nearest known one", async () => {
    await expect(resolve("smolm2-135m")).rejects.toThrow(/Did you mean smollm2-135m or smollm2-135m-nli\?/);
  });

  test("that is not here is not fetched offline", async () => {
    await expect(resolve("opt-125m")).rejects.toMatchObject({
      code: "offline",
      message: expect.stringContaining("oneword pull opt-125m"),
    });
  });
});

describe("the Hugging Face cache", () => {
  const snapshot = `huggingface/hub/models--facebook--opt-125m/snapshots/${commit}`;
  const main = { "huggingface/hub/models--facebook--opt-125m/refs/main": commit };

  test("is found by a known name, by hub id and by commit", async () => {
    await folderWith(".", main);
    await folderWith(snapshot, { ...sides, "model.safetensors": "weights" });
    for (const name of ["opt-125m", "facebook/opt-125m", `facebook/opt-125m@${commit}`]) {
      const found = await resolve(name);
      expect(found).toMatchObject({ name, source: "hf-cache", identity: `facebook/opt-125m@${commit}` });
    }
    await expect(resolve("facebook/opt-125m@other")).rejects.toMatchObject({ code: "offline" });
    expect(await listModels({ cacheDir })).toEqual([
      {
        name: "facebook/opt-125m",
        identity: `facebook/opt-125m@${commit}`,
        source: "hf-cache",
        path: join(root, snapshot),
        bytes: 11,
        complete: true,
      },
    ]);
  });

  test("is whole with vocab.json and merges.txt, as OPT has them, and not with a link to nowhere", async () => {
    await folderWith(".", main);
    const folder = await folderWith(snapshot, {
      "config.json": "{}",
      "vocab.json": "{}",
      "model.safetensors": "weights",
    });
    await expect(resolve("opt-125m")).rejects.toMatchObject({ code: "offline" });
    await symlink(join(root, "merges"), join(folder, "merges.txt"));
    await expect(resolve("opt-125m")).rejects.toMatchObject({ code: "offline" });
    await writeFile(join(root, "merges"), "#version: 0.2\n");
    expect(await resolve("opt-125m")).toMatchObject({ source: "hf-cache", tokenizer: join(folder, "vocab.json") });
  });

  test("with a shard that is not there counts as incomplete", async () => {
    await folderWith(".", main);
    const folder = await folderWith(snapshot, { ...sides, "model.safetensors.index.json": index("a.safetensors") });
    await symlink(join(root, "gone"), join(folder, "a.safetensors"));
    await expect(resolve("opt-125m")).rejects.toMatchObject({ code: "offline" });
    expect(await listModels({ cacheDir })).toMatchObject([{ name: "facebook/opt-125m", complete: false }]);
  });
});

describe("the memo of checksums", () => {
  test("spares a second reading as long as size, time and inode stay", async () => {
    const file = join(await folderWith("data", { file: "first" }), "file");
    expect(await sha256OfFile(file, undefined, cacheDir)).toBe(sha256("first"));
    for (const memo of await memos()) await edit(memo, { sha256: "0".repeat(64) });
    expect(await sha256OfFile(file, undefined, cacheDir)).toBe("0".repeat(64));
    await utimes(file, new Date(1e12), new Date(1e12));
    expect(await sha256OfFile(file, undefined, cacheDir)).toBe(sha256("first"));
  });

  test.each(["", "{", "null", "[]", '{"sha256":5}', "\xff"])("that reads %j is ignored", async (text) => {
    const file = join(await folderWith("data", { file: "first" }), "file");
    await sha256OfFile(file, undefined, cacheDir);
    for (const memo of await memos()) await writeFile(memo, text);
    expect(await sha256OfFile(file, undefined, cacheDir)).toBe(sha256("first"));
  });

  test("is no need: a cache that cannot be written only costs time", async () => {
    const file = join(await folderWith("data", { file: "first" }), "file");
    expect(await sha256OfFile(file, undefined, join(file, "below"))).toBe(sha256("first"));
  });

  test("reading stops by a signal", async () => {
    const file = join(await folderWith("data", { file: "first" }), "file");
    await expect(sha256OfFile(file, AbortSignal.abort(), cacheDir)).rejects.toMatchObject({ code: "aborted" });
  });
});

test("the cache's root is the given one, else the environment's", () => {
  vi.stubEnv("ONEWORD_CACHE", "/from/environment");
  vi.stubEnv("XDG_CACHE_HOME", "/xdg");
  expect(cacheFolder("/given")).toBe("/given");
  expect(cacheFolder()).toBe("/from/environment");
  vi.stubEnv("ONEWORD_CACHE", "");
  expect(cacheFolder()).toBe("/xdg/oneword");
});
