import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { EmbeddingModel, LoadOptions, StreamedWords } from "../src/index.ts";
import { cosineSimilarity, load } from "../src/index.ts";
import { writeTinyModel } from "./tiny-model.ts";

let folder: string;
let model: EmbeddingModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-library-"));
  await writeTinyModel(folder, { architecture: "opt" }); // whose output weights are there
  model = await load(folder, { cacheDir: join(folder, "cache") });
});
afterAll(async () => {
  await model.close();
  await rm(folder, { recursive: true });
});

const listOf = (texts: unknown): string[] => texts as string[];

test.each([
  ["a string for a list", () => model.embed(listOf("hello")), /texts is a string\. Give a list of strings/],
  ["a set for a list", () => model.embed(listOf(new Set(["a"]))), /texts is an object\. Give a list of strings/],
  ["an item that is no text", () => model.embed(listOf(["a", 5])), /input\[1\]: a number, not a string/],
  ["no word to be named", () => model.explain(["a"], { count: -1 }), /count is -1; it must be a whole number over 0/],
  ["no number of words", () => model.explain(["a"], { count: Number.NaN }), /count is NaN/],
  ["no layer", () => model.embedLayers(["a"], []), /layers is empty/],
  ["half a layer", () => model.embedLayers(["a"], [1.5, 3]), /layer 1\.5: the model has layers 0 to 3/],
  ["a layer below all", () => model.embedLayers(["a"], [-1, 3]), /layer -1: the model has layers 0 to 3/],
  ["no number of a layer", () => model.embedLayers(["a"], [Number.NaN]), /layer NaN: the model has layers/],
])("%s is refused", async (_title, call, message) => {
  await expect(call()).rejects.toMatchObject({ code: "bad-option", message: expect.stringMatching(message) });
});

test.each([
  [{ precision: "fp32" }, /precision is fp32; there are stored, float32/],
  [{ threads: 1_000_000 }, /threads is 1000000; this machine takes \d+ at most/],
  [{ device: "gpu" }, /device gpu/],
])("load refuses %j before anything is prepared", async (options, message) => {
  await expect(load(folder, options as LoadOptions)).rejects.toMatchObject({
    code: "bad-option",
    message: expect.stringMatching(message),
  });
});

test("vectors of different lengths have no cosine", () => {
  expect(() => cosineSimilarity(Float32Array.of(1, 0), Float32Array.of(1, 0, 9))).toThrow(/of 2 and 3 numbers/);
});

test("a text that is still computed when the model is closed is refused as with one that is closed", async () => {
  const other = await load(folder, { cacheDir: join(folder, "cache") });
  const texts = Array.from({ length: 200 }, (_, i) => `text ${i}`);
  const pending = other.embed(texts, { batchTokens: 64 });
  await other.close();
  await expect(pending).rejects.toMatchObject({ code: "closed" });
});

test("of an empty text nothing is left when the template's vector is subtracted, whatever it is run with", async () => {
  await using subtracted = await model.withRecipe({ subtractTemplate: 1 });
  const [, empty, white, text] = await subtracted.embed(["a text with more words", "", " ", "a"]);
  expect([Math.hypot(...empty!), Math.hypot(...white!)]).toEqual([0, 0]);
  expect(Math.hypot(...text!)).toBeGreaterThan(0.01);
});

const long = "word ".repeat(5000);

test("an error of a stream's words has the text's number in the stream", async () => {
  const read: StreamedWords[] = [];
  const reading = (async () => {
    for await (const words of model.explainStream([...new Array<string>(70).fill("a"), long])) read.push(words);
  })();
  await expect(reading).rejects.toThrow(/^input\[70\]: \d+ tokens/);
  expect(read.map(({ index }) => index)).toEqual(Array.from({ length: 64 }, (_, i) => i));
});

test("a stream's words are those of a list, and it says what was cut", async () => {
  const options = { count: 3, truncate: true };
  const read: StreamedWords[] = [];
  for await (const words of model.explainStream(["a cat", long], options)) read.push(words);
  expect(read.map(({ words }) => words)).toEqual(await model.explain(["a cat", long], options));
  expect(read.map(({ text, truncatedTokens }) => [text, truncatedTokens > 0])).toEqual([
    ["a cat", false],
    [long, true],
  ]);
});

test("texts in front of a stream's failure are embedded before it", async () => {
  async function* failing(): AsyncGenerator<string> {
    yield* ["a", "b"];
    throw new Error("bad line");
  }
  const indexes: number[] = [];
  const reading = (async () => {
    for await (const { index } of model.embedStream(failing())) indexes.push(index);
  })();
  await expect(reading).rejects.toThrow("bad line");
  expect(indexes).toEqual([0, 1]);
});

test("a precision that there is not is refused before a model is looked for, also in a recipe", async () => {
  for (const options of [{ precision: "fp32" }, { recipe: { precision: "fp32" } }] as unknown as LoadOptions[]) {
    await expect(load(join(folder, "nothing"), options)).rejects.toMatchObject({ code: "bad-option" });
  }
});
