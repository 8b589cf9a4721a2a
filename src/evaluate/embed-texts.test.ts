import { appendFile, mkdtemp, open, readdir, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { embedTexts } from "./embed-texts.ts";
import { embeddingCache } from "./embedding-cache.ts";
import type { VectorSource } from "./vector-source.ts";

let cacheDir: string;
beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), "oneword-vectors-"));
});
afterEach(() => rm(cacheDir, { recursive: true }));

/** Counts characters; notes what it was asked for. */
function countingSource({ id = "recipe", failsAfter = Number.POSITIVE_INFINITY } = {}) {
  const asked: string[] = [];
  const source: VectorSource = {
    name: "counter",
    id,
    async embed(texts) {
      if (asked.length >= failsAfter) throw new Error("stopped here");
      asked.push(...texts);
      return texts.map((text) => ({
        embedding: Float32Array.of(text.length, 1 / 3),
        isTruncated: text.startsWith("cut"),
      }));
    },
  };
  return { source, asked };
}

/** 40 texts of 1,000 to 1,039 characters, hence several chunks. */
const longTexts = Array.from({ length: 40 }, (_, i) => String(i % 10).repeat(1000 + i));

async function run(counting: ReturnType<typeof countingSource>, texts: readonly string[]) {
  const cache = embeddingCache(counting.source, cacheDir);
  return embedTexts(counting.source, texts, { cache }).finally(() => cache?.close());
}

test("embeds a text that occurs often once, and an empty one too", async () => {
  const counting = countingSource();
  const { vectors, distinctTexts } = await embedTexts(counting.source, ["a", "bb", "a", "", "bb"]);
  expect(counting.asked.toSorted()).toEqual(["", "a", "bb"]);
  expect([distinctTexts, [...vectors.get("bb")!]]).toEqual([3, [2, Math.fround(1 / 3)]]);
});

test("takes from the disk what an earlier run embedded, bit by bit the same", async () => {
  const first = await run(countingSource(), longTexts);
  const counting = countingSource();
  const second = await run(counting, [...longTexts, "new"]);
  expect(counting.asked).toEqual(["new"]);
  expect([second.cachedTexts, second.distinctTexts]).toEqual([40, 41]);
  for (const text of longTexts) expect(second.vectors.get(text)).toEqual(first.vectors.get(text));
});

test("a stopped run goes on where it stopped", async () => {
  const stopped = countingSource({ failsAfter: 16 });
  await expect(run(stopped, longTexts)).rejects.toThrow("stopped here");
  expect(stopped.asked.length).toBeGreaterThanOrEqual(16);
  const counting = countingSource();
  const { cachedTexts } = await run(counting, longTexts);
  expect(cachedTexts).toBe(stopped.asked.length);
  expect([...stopped.asked, ...counting.asked].toSorted()).toEqual(longTexts.toSorted());
});

test("vectors of another recipe are not taken", async () => {
  await run(countingSource(), longTexts);
  expect((await run(countingSource({ id: "other" }), longTexts)).cachedTexts).toBe(0);
});

test("a vector of a shortened text is not kept", async () => {
  expect((await run(countingSource(), ["cut off", "whole"])).truncatedTexts).toBe(1);
  expect((await run(countingSource(), ["cut off", "whole"])).cachedTexts).toBe(1);
});

test("records that were cut or damaged are computed again, the others are taken", async () => {
  await run(countingSource(), ["a", "bb", "ccc"]);
  const folder = join(cacheDir, "embeddings", (await readdir(join(cacheDir, "embeddings")))[0]!);
  const segment = join(folder, (await readdir(folder))[0]!);
  await truncate(segment, (await stat(segment)).size - 1); // the last record is "a"'s, the shortest text
  const handle = await open(segment, "r+");
  await handle.write(Buffer.of(0x7f), 0, 1, 12 + 24 + 1); // a byte of the first vector, behind header, key and check
  await handle.close();
  const counting = countingSource();
  await run(counting, ["a", "bb", "ccc"]);
  expect(counting.asked).toEqual(["ccc", "a"]);
});

test("a foreign file in the cache does no harm", async () => {
  await run(countingSource(), ["a"]);
  const folder = join(cacheDir, "embeddings", (await readdir(join(cacheDir, "embeddings")))[0]!);
  await appendFile(join(folder, "0.vectors"), "something else altogether");
  expect((await run(countingSource(), ["a"])).cachedTexts).toBe(1);
});

test("progress tells the total before the first text, and the end", async () => {
  const seen: string[] = [];
  await embedTexts(countingSource().source, longTexts, {
    onProgress: ({ doneTexts, totalTexts }) => seen.push(`${doneTexts}/${totalTexts}`),
  });
  expect([seen[0], seen.at(-1)]).toEqual(["0/40", "40/40"]);
  expect(seen.length).toBeGreaterThan(3);
});

test("stops between two chunks", async () => {
  const counting = countingSource();
  const stop = new AbortController();
  const onProgress = (): void => {
    if (counting.asked.length > 0) stop.abort();
  };
  await expect(embedTexts(counting.source, longTexts, { signal: stop.signal, onProgress })).rejects.toThrow();
  expect(counting.asked.length).toBeLessThan(40);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])(
  "a vector with %d is an error that names source, text and place",
  async (bad) => {
    const source: VectorSource = {
      name: "vectors.npy",
      id: null,
      embed: async (texts) =>
        texts.map((text) => ({ embedding: Float32Array.of(1, text === "b" ? bad : 1), isTruncated: false })),
    };
    await expect(embedTexts(source, ["a", "b"])).rejects.toMatchObject({
      code: "bad-row",
      message: `vectors.npy: the vector of the text "b" has ${bad} in dimension 1. Make it again.`,
    });
  },
);

test("a vector of another length than the others is an error that names its text", async () => {
  const source: VectorSource = {
    name: "server",
    id: null,
    embed: async (texts) => texts.map(({ length }) => ({ embedding: new Float32Array(length), isTruncated: false })),
  };
  const wrong = embedTexts(source, ["aaa", "bb"]);
  await expect(wrong).rejects.toThrow(/server: the vector of the text "bb" has 2 numbers, others have 3/);
});
