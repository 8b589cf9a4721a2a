import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packagedDev } from "../evaluate/data-folder.ts";
import { packagedDemonstrations, readDemonstrations } from "./demonstrations.ts";
import { labelledPairs, readLabelled, splitHalves } from "./labelled.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-labelled-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function put(name: string, text: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, text);
  return file;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const pairs = Array.from({ length: 400 }, (_, i) => ({
  sentence1: `a${i}`,
  sentence2: `b${i}`,
  score: (i * 37) % 400,
}));

test("every beginning of the order spreads over the scores", () => {
  const { order } = labelledPairs(pairs);
  expect(order.toSorted((a, b) => a - b)).toEqual(pairs.map((_, i) => i));
  for (const count of [16, 64, 256]) {
    expect(Math.abs(mean(order.slice(0, count).map((i) => pairs[i]!.score)) - 199.5)).toBeLessThan(25);
  }
});

test("the halves share no item, have all of them, and both spread over the scores", () => {
  const { search, heldOut } = splitHalves(labelledPairs(pairs));
  expect(new Set([...search.order, ...heldOut.order]).size).toBe(400);
  expect([search.order.length, heldOut.order.length]).toEqual([200, 200]);
  for (const { order } of [search, heldOut]) {
    expect(Math.abs(mean(order.map((i) => pairs[i]!.score)) - 199.5)).toBeLessThan(2);
  }
});

test("pairs are scored by Spearman's correlation of their cosines", async () => {
  const labelled = await readLabelled(packagedDev);
  expect(labelled.items).toHaveLength(1500);
  const three = labelledPairs([5, 3, 1].map((score, i) => ({ sentence1: "x", sentence2: String(i), score })));
  const vectors: Record<string, number[]> = { x: [1, 0], 0: [1, 0.1], 1: [1, 0.5], 2: [0, 1] };
  expect(three.score([0, 1, 2], (text) => Float32Array.from(vectors[text]!))).toBeCloseTo(100, 10);
});

test("triples are scored by how many have the positive nearer", async () => {
  const rows = Array.from({ length: 20 }, (_, i) => `anchor\t${i < 15 ? "near" : "far"}\t${i < 15 ? "far" : "near"}\n`);
  const labelled = await readLabelled(await put("t.tsv", `sent0\tsent1\thard_neg\n${rows.join("")}`));
  expect(labelled.kind).toBe("triples");
  const vectors: Record<string, number[]> = { anchor: [1, 0], near: [1, 0.1], far: [0, 1] };
  expect(labelled.score(labelled.order, (text) => Float32Array.from(vectors[text]!))).toBe(75);
});

test("too few rows are refused with the file", async () => {
  const file = await put("few.tsv", "score\tsentence1\tsentence2\n1\ta\tb\n");
  await expect(readLabelled(file)).rejects.toThrow(/few\.tsv: 1 rows are too few/);
});

test("the paper's 300 demonstrations come with the package", async () => {
  const demonstrations = await readDemonstrations(packagedDemonstrations);
  expect(demonstrations).toHaveLength(300);
  expect(demonstrations[0]).toEqual({
    sentence: "Over 100 dead as typhoon slams central Philippines",
    word: "Disaster",
  });
});

test("demonstrations come as JSONL and as TSV with other columns too", async () => {
  const jsonl = await put("d.jsonl", '{"sentence":"A man.","word":"Man","id":3}\n\n');
  const tsv = await put("d.tsv", "id\tword\tsentence\n3\tMan\tA man.\n");
  expect(await readDemonstrations(jsonl)).toEqual([{ sentence: "A man.", word: "Man" }]);
  expect(await readDemonstrations(tsv)).toEqual([{ sentence: "A man.", word: "Man" }]);
});

test.each([
  ["empty.tsv", "sentence\tword\n", /empty\.tsv: holds no demonstration/],
  ["blank.tsv", "sentence\tword\na\t \n", /blank\.tsv:2: "sentence" or "word" is empty/],
  ["other.tsv", "text\tword\na\tb\n", /other\.tsv:1: the header has no column "sentence"/],
  ["no.jsonl", '{"sentence":"a"}\n', /no\.jsonl:1: needs the strings "sentence" and "word"/],
  ["bad.jsonl", "{\n", /bad\.jsonl:1: not JSON/],
])("what is wrong in %s is said with its place", async (name, text, message) => {
  await expect(readDemonstrations(await put(name, text))).rejects.toThrow(message);
});
