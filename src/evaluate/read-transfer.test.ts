import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readTransferSet } from "./read-transfer.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-transfer-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), content);
}

test("reads sets of our layout, empty sentences too", async () => {
  await put("transfer/CR/all.tsv.gz", gzipSync("label\tsentence\n1\tgood\n0\t\n"));
  await put("transfer/TREC/train.tsv", "label\tsentence\tfine\nNUM\tHow many ?\tNUM:count\n");
  await put("transfer/TREC/test.tsv", "label\tsentence\tfine\nABBR\tWhat is NATO ?\tABBR:exp\n");
  await put("transfer/MRPC/train.tsv", "label\tsentence1\tsentence2\n1\ta\tb\n");
  await put("transfer/MRPC/test.tsv", "label\tsentence1\tsentence2\n0\tc\td\n");
  expect(await readTransferSet("cr", folder)).toEqual({
    task: "cr",
    classes: ["0", "1"],
    train: [
      { sentences: ["good"], label: 1 },
      { sentences: [""], label: 0 },
    ],
  });
  const trec = await readTransferSet("trec", folder);
  expect(trec.train).toEqual([{ sentences: ["How many ?"], label: 5 }]);
  expect(trec.test).toEqual([{ sentences: ["What is NATO ?"], label: 0 }]);
  expect((await readTransferSet("mrpc", folder)).test).toEqual([{ sentences: ["c", "d"], label: 0 }]);
});

test("reads SentEval's layout in its encodings", async () => {
  await put("downstream/MR/rt-polarity.pos", Buffer.from("caf\xe9 is  good \n", "latin1"));
  await put("downstream/MR/rt-polarity.neg", "bad\n");
  await put("downstream/SST/binary/sentiment-train", "fine film\t1\n");
  await put("downstream/SST/binary/sentiment-dev", "café\t0\n");
  await put("downstream/SST/binary/sentiment-test", "dull\t0\n");
  await put("downstream/TREC/train_5500.label", "DESC:manner How did it start ?\n");
  await put("downstream/TREC/TREC_10.label", "LOC:other Where is it ?\n");
  const paraphrases = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tHe said.\tShe said.\n";
  for (const split of ["train", "test"]) await put(`downstream/MRPC/msr_paraphrase_${split}.txt`, paraphrases);
  expect((await readTransferSet("mr", folder)).train).toEqual([
    { sentences: ["bad"], label: 0 },
    { sentences: ["café is good"], label: 1 },
  ]);
  const sst2 = await readTransferSet("sst2", folder);
  expect([sst2.train, sst2.dev]).toEqual([
    [{ sentences: ["fine film"], label: 1 }],
    [{ sentences: ["café"], label: 0 }],
  ]);
  expect((await readTransferSet("trec", folder)).train).toEqual([{ sentences: ["How did it start ?"], label: 1 }]);
  expect((await readTransferSet("mrpc", folder)).train).toEqual([{ sentences: ["He said.", "She said."], label: 1 }]);
});

test("a missing set and a wrong label are named with their place", async () => {
  await expect(readTransferSet("mpqa", folder)).rejects.toThrow(
    /^MPQA is not in .*transfer\/MPQA\/all\.tsv .*"oneword data pull transfer"/,
  );
  await put("MR/all.tsv", "label\tsentence\n2\tx\n");
  await expect(readTransferSet("mr", folder)).rejects.toThrow(
    /MR\/all\.tsv:2: the label is "2", but must be one of 0,1/,
  );
});

test("a class without an example is an error", async () => {
  await put("downstream/MR/rt-polarity.pos", "good\n");
  await put("downstream/MR/rt-polarity.neg", "");
  await expect(readTransferSet("mr", folder)).rejects.toThrow(/rt-polarity\.neg: holds no example/);
});
