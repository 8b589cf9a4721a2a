import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { preparedPlace, preparedRoot, readPrepared, weightsFile } from "../files/prepared.ts";
import type { TensorEntry } from "../files/tensor-index.ts";
import { type DeriveOptions, deriveWeights } from "./derived-weights.ts";

let folder: string;
let entries: Map<string, TensorEntry>;
let options: DeriveOptions;
let made: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-derived-"));
  const file = join(folder, "source.bin");
  const values = Float32Array.from({ length: 256 * 64 }, (_, i) => Math.sin(i));
  await writeFile(file, values);
  const entry: TensorEntry = { name: "w", type: "F32", shape: [256, 64], file, offset: 0, length: values.byteLength };
  entries = new Map([["layers.0.w.weight", entry]]);
  made = 0;
  options = {
    cacheFolder: join(folder, "cache"),
    origin: { name: "tiny", identity: "sha256:1", precision: "int8", madeFrom: file, variant: "" },
    formOf: () => "int8",
    onProgress: ({ receivedBytes, totalBytes }) => {
      if (receivedBytes === totalBytes) made++;
    },
  };
});
afterEach(() => rm(folder, { recursive: true }));

const place = () => preparedPlace(options.cacheFolder, options.origin);
const weights = (): string => weightsFile(place().folder);

/** Another byte at `offset`, as a failing disk or a careless tool leaves it. */
async function damage(file: string, offset: number): Promise<void> {
  const handle = await open(file, "r+");
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, offset);
  await handle.write(Buffer.of(buffer[0]! ^ 1), 0, 1, offset);
  await handle.close();
}

describe("prepared weights", () => {
  test("are made once and found again", async () => {
    const first = await deriveWeights(entries, options);
    expect(await deriveWeights(entries, options)).toEqual(first);
    expect(made).toBe(1);
    expect((await readdir(preparedRoot(options.cacheFolder))).length).toBe(1);
  });

  test("that cannot be kept are an error that names the cache and says what to do", async () => {
    const file = join(folder, "a-file");
    await writeFile(file, "");
    await expect(deriveWeights(entries, { ...options, cacheFolder: join(file, "cache") })).rejects.toMatchObject({
      code: "bad-option",
      message: expect.stringMatching(/^the cache .*a-file.*cache cannot be written \(.*Set ONEWORD_CACHE to a folder/),
    });
  });

  test("that lost a bit, at the same size, are made again", async () => {
    await deriveWeights(entries, options);
    const whole = await readFile(weights());
    await damage(weights(), 5000);
    expect(await readPrepared(place().folder)).toBeNull();
    await deriveWeights(entries, options);
    expect(made).toBe(2);
    expect((await readFile(weights())).equals(whole)).toBe(true);
  });

  test("whose manifest names another offset are made again", async () => {
    await deriveWeights(entries, options);
    const manifest = join(place().folder, "manifest.json");
    const text = await readFile(manifest, "utf8");
    await writeFile(manifest, text.replace('"offset":0', '"offset":64'));
    await deriveWeights(entries, options);
    expect([made, await readFile(manifest, "utf8")]).toEqual([2, expect.stringContaining('"offset":0')]);
  });

  test("that were copied or touched are read once more, and not again after that", async () => {
    await deriveWeights(entries, options);
    await utimes(weights(), 1e9, 1e9);
    const before = await readFile(join(place().folder, "manifest.json"), "utf8");
    await deriveWeights(entries, options);
    const after = await readFile(join(place().folder, "manifest.json"), "utf8");
    await deriveWeights(entries, options);
    expect(made).toBe(1);
    expect(after).not.toBe(before);
    expect(await readFile(join(place().folder, "manifest.json"), "utf8")).toBe(after);
  });

  test("leave nothing behind when they are stopped in the middle", async () => {
    const stop = new AbortController();
    const formOf: DeriveOptions["formOf"] = () => {
      stop.abort();
      return "int8";
    };
    const stopped = deriveWeights(entries, { ...options, signal: stop.signal, formOf });
    await expect(stopped).rejects.toMatchObject({ code: "aborted" });
    expect(await readdir(preparedRoot(options.cacheFolder))).toEqual([]);
    expect(await readdir(join(options.cacheFolder, "locks"))).toEqual([]);
  });

  test("take away what a process that was killed left of them", async () => {
    const name = place().folder.split(/[\\/]/).at(-1)!;
    const root = preparedRoot(options.cacheFolder);
    await mkdir(join(root, `.${name}.1234`), { recursive: true });
    await deriveWeights(entries, options);
    expect(await readdir(root)).toEqual([name]);
  });

  test("that several ask for at once are made by one", async () => {
    const all = await Promise.all([1, 2, 3].map(() => deriveWeights(entries, options)));
    expect([made, all[1], all[2]]).toEqual([1, all[0], all[0]]);
    expect((await stat(weights())).size).toBe(256 * 64 + 256 * 4);
  });

  test("of a model that ends too early are an error that names its file", async () => {
    await writeFile(join(folder, "source.bin"), Buffer.alloc(1000));
    await expect(deriveWeights(entries, options)).rejects.toMatchObject({
      code: "corrupt-file",
      message: expect.stringContaining("source.bin"),
    });
    expect(await readdir(preparedRoot(options.cacheFolder))).toEqual([]);
  });
});
