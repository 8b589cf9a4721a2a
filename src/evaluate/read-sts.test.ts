import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readStsSet } from "./read-sts.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-sts-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), content);
}
const header = "score\tsentence1\tsentence2\n";
const sts13 = ["FNWN", "headlines", "OnWN"];

test("reads a year's subsets, plain or packed, with quotes as plain characters", async () => {
  await put("sts/STS13/FNWN.tsv", `${header}2.5\ta "b\tc'\n`);
  await put("sts/STS13/headlines.tsv.gz", gzipSync(`${header}0\té\tf\n5\tg\th`));
  await put("sts/STS13/OnWN.tsv", `${header}1\ti\tj\n`);
  const { subsets } = await readStsSet("sts13", folder);
  expect(subsets.map(({ name, pairs }) => [name, pairs.length])).toEqual([
    ["FNWN", 1],
    ["headlines", 2],
    ["OnWN", 1],
  ]);
  expect(subsets[0]!.pairs[0]).toEqual({ sentence1: 'a "b', sentence2: "c'", score: 2.5 });
  expect(await readStsSet("sts13", join(folder, "sts"))).toEqual(await readStsSet("sts13", folder));
});

test("a year as one file is one subset", async () => {
  await put("STS12/test.tsv", `${header}1\ta\tb\n`);
  expect((await readStsSet("sts12", folder)).subsets.map(({ name }) => name)).toEqual(["test"]);
});

describe("SentEval's layout", () => {
  test("leaves pairs without a score out", async () => {
    for (const name of sts13) {
      await put(`downstream/STS/STS13-en-test/STS.input.${name}.txt`, "a\tb\nc\td\ne\tf\n");
      await put(`downstream/STS/STS13-en-test/STS.gs.${name}.txt`, "1.0\n\n3\n");
    }
    const { subsets } = await readStsSet("sts13", folder);
    expect(subsets[1]!.pairs).toEqual([
      { sentence1: "a", sentence2: "b", score: 1 },
      { sentence1: "e", sentence2: "f", score: 3 },
    ]);
  });

  test("whose sentences are fewer than the scores is refused", async () => {
    for (const name of sts13) {
      await put(`downstream/STS/STS13-en-test/STS.input.${name}.txt`, "a\tb\n");
      await put(`downstream/STS/STS13-en-test/STS.gs.${name}.txt`, "1.0\n2.0\n");
    }
    await expect(readStsSet("sts13", folder)).rejects.toThrow(/STS\.input\.\w+\.txt: 1 lines, but .* has 2\. Get both/);
  });

  test("reads STS-B and SICK-R", async () => {
    await put("STS/STSBenchmark/sts-test.csv", "main-captions\tMSRvid\t2012test\t0024\t2.500\tA girl.\tA boy.\n");
    const sick = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n6\tA\tB\t3.3\tNEUTRAL\n";
    await put("SICK/SICK_test_annotated.txt", sick);
    const [stsb, sickr] = [await readStsSet("stsb", folder), await readStsSet("sickr", folder)];
    expect(stsb.subsets[0]!.pairs).toEqual([{ sentence1: "A girl.", sentence2: "A boy.", score: 2.5 }]);
    expect(sickr.subsets[0]!.pairs).toEqual([{ sentence1: "A", sentence2: "B", score: 3.3 }]);
  });
});

describe("what is wrong is said with its place", () => {
  const errorOf = (task: "sts13" | "stsb" | "sts16") => readStsSet(task, folder).catch((error: Error) => error.message);

  test("a missing set, with how to get it", async () => {
    expect(await errorOf("sts16")).toMatch(/^STS16 is not in .*\. Fetch it with "oneword data pull sts", or name/);
    folder = join(folder, "none");
    await mkdir(folder);
    await expect(readStsSet("stsb", join(folder, "absent"))).rejects.toMatchObject({ code: "data-not-found" });
  });

  test("a set that is not whole", async () => {
    await put("STS13/FNWN.tsv", `${header}1\ta\tb\n`);
    expect(await errorOf("sts13")).toBe(
      `${join(folder, "STS13/headlines.tsv")} is missing. The set is not whole: copy the rest, or fetch it again.`,
    );
  });

  test.each([
    [`${header}1\ta\tb\n2\ta\n`, /STSB\/test\.tsv:3: 2 fields, but the header has 3/],
    [`${header}x\ta\tb\n`, /STSB\/test\.tsv:2: the score is "x", but must be a number/],
    ["a\tb\n", /STSB\/test\.tsv:1: the header has no column "sentence1"; it has a, b/],
    [header, /STSB\/test\.tsv: holds no pair/],
    ["", /STSB\/test\.tsv: is empty/],
  ])("a malformed file %j", async (content, message) => {
    await put("STSB/test.tsv", content);
    expect(await errorOf("stsb")).toMatch(message);
  });

  test("a packed file that is none", async () => {
    await put("STSB/test.tsv.gz", "not packed");
    expect(await errorOf("stsb")).toMatch(/STSB\/test\.tsv\.gz: cannot be read \(Z_DATA_ERROR\)/);
  });
});

test("the development split of STS-B comes with the package", async () => {
  const { subsets } = await readStsSet("stsb-dev", folder);
  expect(subsets[0]!.pairs.length).toBe(1500);
  expect(subsets[0]!.pairs[0]).toEqual({
    sentence1: "a man with a hard hat is dancing .",
    sentence2: "a man wearing a hard hat is dancing .",
    score: 5,
  });
});
