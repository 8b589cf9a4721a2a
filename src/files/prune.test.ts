import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { listPrepared } from "./list-prepared.ts";
import { tryLock } from "./lock.ts";
import {
  makePrepared,
  type PreparedOrigin,
  type PreparedPlace,
  preparedPlace,
  preparedRoot,
  weightsFile,
} from "./prepared.ts";
import { pruneCache } from "./prune.ts";
import { resolveModel } from "./resolve-model.ts";

let root: string;
let cacheDir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "oneword-prune-"));
  cacheDir = join(root, "cache");
  vi.stubEnv("HF_HOME", join(root, "huggingface"));
  vi.stubEnv("HF_HUB_CACHE", undefined);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(root, { recursive: true });
});

/** Prepared weights of 1000 bytes. */
async function prepare(origin: Partial<PreparedOrigin>): Promise<PreparedPlace> {
  const whole = { name: "m", identity: "m@1", precision: "int8", madeFrom: "/nowhere", variant: "", ...origin };
  const place = preparedPlace(cacheDir, whole);
  await makePrepared(place, whole, async (file) => {
    await writeFile(file, Buffer.alloc(1000));
    return [];
  });
  return place;
}

/** A model as another tool leaves it in its cache. */
async function hubModel(repo: string, commit: string): Promise<void> {
  const folder = join(root, "huggingface", "hub", `models--${repo.replace("/", "--")}`, "snapshots", commit);
  await mkdir(folder, { recursive: true });
  for (const file of ["model.safetensors", "config.json", "tokenizer.json"]) await writeFile(join(folder, file), "{}");
}

const removedPaths = async (): Promise<string[]> =>
  (await pruneCache({ cacheDir })).flatMap(({ path, removed }) => (removed ? [basename(path)] : []));

describe("prepared weights", () => {
  test("are listed by model and precision, damaged ones as incomplete", async () => {
    const [a, b] = [await prepare({ name: "a", precision: "int8" }), await prepare({ name: "a", precision: "int4" })];
    await truncate(weightsFile(a.folder), 10);
    expect(await listPrepared({ cacheDir })).toMatchObject([
      { name: "a", precision: "int4", path: b.folder, complete: true },
      { name: "a", precision: "int8", path: a.folder, complete: false },
    ]);
  });

  test("of a model in a cache stay; those of a model that is gone are removed, and the bytes are counted", async () => {
    await hubModel("maker/tiny", "c1");
    const kept = await prepare({ name: "maker/tiny", identity: "maker/tiny@c1" });
    const gone = await prepare({ name: "maker/tiny", identity: "maker/tiny@c0" });
    const [pruned, ...others] = await pruneCache({ cacheDir });
    expect([pruned, others]).toEqual([
      {
        path: gone.folder,
        bytes: expect.any(Number),
        reason: "int8 weights of maker/tiny, which is gone",
        removed: true,
      },
      [],
    ]);
    expect(pruned!.bytes).toBeGreaterThan(1000);
    expect(await readdir(preparedRoot(cacheDir))).toEqual([basename(kept.folder)]);
  });

  test("of a model at a path stay for as long as the file is there and the same", async () => {
    const file = join(root, "model.gguf");
    await writeFile(file, "weights");
    const { identity } = await resolveModel(file, { cacheDir });
    const { folder } = await prepare({ name: file, identity, madeFrom: file });
    expect(await removedPaths()).toEqual([]);
    await writeFile(file, "other weights");
    expect(await removedPaths()).toEqual([basename(folder)]);
  });

  test("that are damaged are removed", async () => {
    await hubModel("maker/tiny", "c1");
    const { folder } = await prepare({ identity: "maker/tiny@c1" });
    await writeFile(weightsFile(folder), Buffer.alloc(1000, 1));
    expect(await removedPaths()).toEqual([basename(folder)]);
  });
});

describe("what was being filled", () => {
  test("by a process that died is removed: staging folders and downloads that were cut", async () => {
    await mkdir(join(preparedRoot(cacheDir), ".0a1b.1234"), { recursive: true });
    await mkdir(join(cacheDir, "partial", "maker--tiny"), { recursive: true });
    await writeFile(join(cacheDir, "partial", "maker--tiny", "model.safetensors.partial"), Buffer.alloc(500));
    const pruned = await pruneCache({ cacheDir });
    expect(pruned.map(({ bytes, removed }) => [bytes, removed])).toEqual([
      [0, true],
      [500, true],
    ]);
    expect([await readdir(preparedRoot(cacheDir)), await readdir(join(cacheDir, "partial"))]).toEqual([[], []]);
  });

  test("by a process that lives stays, and is said to", async () => {
    const { folder, lock } = await prepare({ identity: "gone@1" });
    await mkdir(`${join(folder, "..", `.${basename(folder)}`)}.1234`);
    await mkdir(join(cacheDir, "partial", "maker--tiny"), { recursive: true });
    const releases = [await tryLock(lock), await tryLock(join(cacheDir, "locks", "maker--tiny"))];
    expect((await pruneCache({ cacheDir })).map(({ removed }) => removed)).toEqual([false, false, false]);
    for (const release of releases) await release!();
    expect((await pruneCache({ cacheDir })).map(({ removed }) => removed)).toEqual([true, true, true]);
  });

  test("an empty cache has nothing to prune", async () => {
    expect(await pruneCache({ cacheDir })).toEqual([]);
  });
});
