import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { EmbeddingModel } from "../src/embed/embedding-model.ts";
import type { load as Load } from "../src/embed/load.ts";
import { physicalCores } from "../src/embed/physical-cores.ts";
import type { PoolThread as Thread } from "../src/embed/pool-thread.ts";
import type { Word } from "../src/embed/top-words.ts";
import { writeTinyModel } from "./tiny-model.ts";

/** Threads run built files, so this runs what `npm run build` made, which `npm test` does first. */
const built = resolve(import.meta.dirname, "../dist/embed/load.js");
const texts = Array.from({ length: 600 }, (_, i) => `${"word ".repeat(i % 23)}number ${i}`);

let load: typeof Load;
let folder: string;
let alone: EmbeddingModel;
let pool: EmbeddingModel;
beforeAll(async () => {
  ({ load } = (await import(built)) as { load: typeof Load });
  folder = await mkdtemp(join(tmpdir(), "oneword-pool-"));
  await writeTinyModel(folder);
  const options = { cacheDir: join(folder, "cache"), offline: true };
  [alone, pool] = [await load(folder, options), await load(folder, { ...options, workers: 2 })];
});
afterAll(async () => {
  await alone.close();
  await pool.close();
  await rm(folder, { recursive: true });
});

test("workers give the vectors of one model, in order", async () => {
  const [expected, actual] = [await alone.embed(texts), await pool.embed(texts)];
  expect(actual).toHaveLength(texts.length);
  actual.forEach((row, i) => {
    const distance = Math.max(...row.map((value, j) => Math.abs(value - expected[i]![j]!)));
    expect(distance, texts[i]!).toBeLessThan(1e-5);
  });
  expect([pool.recipeId, pool.graphId]).toEqual([alone.recipeId, alone.graphId]);
  expect(pool.statistics.sequences).toBe(texts.length);
});

test("workers that are chosen give the vectors of one model too, whatever was chosen", async () => {
  const options = { workers: "auto", cacheDir: join(folder, "cache"), offline: true } as const;
  const [chosen, one] = [await load(folder, options), await load(folder, { ...options, threads: 1 })];
  const kinds = [chosen, one].map((model) => model.constructor.name);
  expect(kinds).toEqual([physicalCores() > 1 ? "WorkerPool" : "Embedder", "Embedder"]);
  const expected = await alone.embed(texts.slice(0, 50));
  for (const model of [chosen, one]) {
    const rows = await model.embed(texts.slice(0, 50));
    rows.forEach((row, i) => {
      const distance = Math.max(...row.map((value, j) => Math.abs(value - expected[i]![j]!)));
      expect(distance, texts[i]!).toBeLessThan(1e-5);
    });
    await model.close();
  }
});

test("workers give the states of ready tokens, at any layer", async () => {
  const ids = [
    [1, 5, 9],
    [1, 7],
  ];
  expect(await pool.embedTokens(ids, { layer: 1 })).toEqual(await alone.embedTokens(ids, { layer: 1 }));
});

test("an error of a worker keeps its class, its code and the text's number", async () => {
  const long = "word ".repeat(5000);
  const failed = pool.embed([...texts.slice(0, 300), long]);
  await expect(failed).rejects.toMatchObject({ name: "InputError", code: "too-long" });
  await expect(failed).rejects.toThrow(/^input\[300\]: /);
  await expect(pool.embedLayers([...texts.slice(0, 40), long], [1])).rejects.toThrow(/^input\[40\]: /);
  expect(await pool.embed(["a"])).toHaveLength(1); // and it goes on
});

test("texts that begin alike are computed together, whichever thread takes them", async () => {
  const animals = Array.from({ length: 400 }, (_, i) => `${i % 2 ? "A dog" : "The cat"} and number ${i}`);
  const before = pool.statistics;
  await pool.embed(animals);
  const { tokens, computedTokens } = pool.statistics;
  expect((computedTokens - before.computedTokens) / (tokens - before.tokens)).toBeLessThan(0.8);
});

test("a stream of more than a window comes in order", async () => {
  const many = Array.from({ length: 5000 }, (_, i) => `${(i * 7919) % 5000} ${i % 3 ? "ab" : "abc"}`);
  const indexes: number[] = [];
  let last: Float32Array | undefined;
  for await (const { index, embedding } of pool.embedStream(many)) {
    indexes.push(index);
    last = embedding;
  }
  expect(indexes).toEqual([...many.keys()]);
  const [expected] = await alone.embed([many.at(-1)!]);
  expect(Math.max(...last!.map((value, i) => Math.abs(value - expected![i]!)))).toBeLessThan(1e-5);
});

test.each([5, 2048])("%i texts of a stream come while it waits for more, and before its failure", async (count) => {
  let fail = (_: Error): void => {};
  async function* failing(): AsyncGenerator<string> {
    for (let i = 0; i < count; i++) yield `number ${i}`;
    await new Promise((_, reject) => {
      fail = reject;
    });
  }
  let received = 0;
  const reading = (async () => {
    for await (const _ of pool.embedStream(failing())) if (++received === count) fail(new Error("bad line"));
  })();
  await expect(reading).rejects.toThrow("bad line");
  expect(received).toBe(count);
});

test("texts in front of a stream's failure come before it, where a window was full", async () => {
  async function* failing(): AsyncGenerator<string> {
    for (let i = 0; i < 2048; i++) yield `number ${i}`;
    throw new Error("bad line");
  }
  let received = 0;
  const reading = (async () => {
    for await (const _ of pool.embedStream(failing())) received++;
  })();
  await expect(reading).rejects.toThrow("bad line");
  expect(received).toBe(2048);
});

test("words of workers are those of one model, with what was cut", async () => {
  const tied = join(folder, "tied");
  await mkdir(tied);
  await writeTinyModel(tied, { architecture: "opt" }); // whose output weights are there
  const options = { cacheDir: join(folder, "cache"), offline: true };
  await using one = await load(tied, options);
  await using two = await load(tied, { ...options, workers: 2 });
  const some = [...texts.slice(0, 100), "word ".repeat(5000)];
  const cut: number[] = [];
  const words: Word[][] = [];
  for await (const result of two.explainStream(some, { count: 3, truncate: true })) {
    words.push(result.words);
    if (result.truncatedTokens > 0) cut.push(result.index);
  }
  const expected = await one.explain(some, { count: 3, truncate: true });
  expect(words.map((row) => row.map(({ id }) => id))).toEqual(expected.map((row) => row.map(({ id }) => id)));
  expect(cut).toEqual([100]);
  await expect(two.explain(some, { count: 0 })).rejects.toMatchObject({ code: "bad-option" });
});

test("what is no list of strings is refused by workers too", async () => {
  const refused = pool.embed("hello" as unknown as string[]);
  await expect(refused).rejects.toMatchObject({ name: "InputError", code: "bad-option" });
  await expect(pool.embed(["a", 5 as unknown as string])).rejects.toThrow(/^input\[1\]: a number, not a string/);
});

test("a stream that is left early stops the work that nobody waits for", async () => {
  const before = pool.statistics.sequences;
  const many = Array.from({ length: 4096 }, (_, i) => `${"word ".repeat(40)}number ${i}`);
  for await (const { index } of pool.embedStream(many)) if (index === 0) break;
  await pool.embed(["a", "b"]); // behind what was left
  expect(pool.statistics.sequences - before).toBeLessThan(many.length);
});

test("many calls listen to one signal without a warning", async () => {
  const warnings: Error[] = [];
  const warn = (warning: Error): number => warnings.push(warning);
  process.on("warning", warn);
  await pool.embed(
    Array.from({ length: 4096 }, (_, i) => `number ${i}`),
    { signal: new AbortController().signal },
  );
  await new Promise((turn) => setImmediate(turn));
  process.off("warning", warn);
  expect(warnings).toEqual([]);
});

test("an abort stops the work of all workers", async () => {
  const signal = AbortSignal.abort();
  await expect(pool.embed(texts, { signal })).rejects.toMatchObject({ code: "aborted" });
  await expect(load(folder, { workers: 2, signal, offline: true })).rejects.toMatchObject({ code: "aborted" });
});

test("a model that cannot be loaded is the worker's error, of its class", async () => {
  const failed = load(join(folder, "nothing"), { workers: 2, offline: true });
  await expect(failed).rejects.toMatchObject({ name: "ModelError", code: "model-not-found" });
  await expect(load(folder, { workers: 0 })).rejects.toMatchObject({ code: "bad-option" });
  await expect(load(folder, { workers: 2_000_000 })).rejects.toThrow(/^workers is 2000000\. .* takes \d+ at most/);
});

test("a call to a thread that has ended is an error, not a wait", async () => {
  const { PoolThread } = (await import(resolve(import.meta.dirname, "../dist/embed/pool-thread.js"))) as {
    PoolThread: typeof Thread;
  };
  const options = { cacheDir: join(folder, "cache"), offline: true, threads: 1 };
  const thread = await PoolThread.start({ model: folder, options }, {});
  thread.close(0);
  await thread.ended;
  const call = thread.call(0, "embedTokens", [[[1]], {}], undefined);
  await expect(call).rejects.toThrow(/a worker thread ended before its work was done/);
});
