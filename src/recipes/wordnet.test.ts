import { resolve } from "node:path";
import { expect, test } from "vitest";
import { wordNetDemonstrations } from "./wordnet.ts";

/** A few lines of WordNet 3.1; see the README there. */
const folder = resolve(import.meta.dirname, "../../test/fixtures/wordnet");
const options = { folder, partsOfSpeech: ["noun", "verb", "adj", "adv"], count: 100 } as const;

test("definitions come with their word, the senses that were tagged most often first", async () => {
  const found = await wordNetDemonstrations(options);
  expect(found.slice(0, 3)).toEqual([
    { sentence: "a human being.", word: "Person" },
    { sentence: "express in words.", word: "Say" },
    { sentence: "negation of a word or group of words.", word: "Not" },
  ]);
});

test("a sense that nobody tagged, a word of two parts and a definition with its own word are left out", async () => {
  const found = await wordNetDemonstrations(options);
  expect(found.map(({ word }) => word).filter((word) => !/^[A-Z][a-z]+$/.test(word))).toEqual([]);
  for (const { sentence, word } of found) expect(sentence.toLowerCase().split(/\W+/)).not.toContain(word.toLowerCase());
});

test("parts of speech and the count are as asked for", async () => {
  const verbs = await wordNetDemonstrations({ ...options, partsOfSpeech: ["verb"], count: 1 });
  expect(verbs).toEqual([{ sentence: "express in words.", word: "Say" }]);
});

test("a folder without the files is refused by the file's name", async () => {
  await expect(wordNetDemonstrations({ ...options, folder: "/nowhere" })).rejects.toMatchObject({
    code: "data-not-found",
    message: expect.stringContaining("index.sense"),
  });
});
