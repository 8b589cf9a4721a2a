import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { create } from "tar";
import { afterEach, beforeEach, expect, test } from "vitest";
import { pullData } from "../src/evaluate/pull-data.ts";
import { readStsSet } from "../src/evaluate/read-sts.ts";
import { readTransferSet } from "../src/evaluate/read-transfer.ts";
import { FakeHub } from "./fake-hub.ts";

let hub: FakeHub;
let cacheDir: string;
beforeEach(async () => {
  hub = await FakeHub.start();
  cacheDir = await mkdtemp(join(tmpdir(), "oneword-data-"));
  process.env.HF_ENDPOINT = hub.endpoint;
});
afterEach(async () => {
  delete process.env.HF_ENDPOINT;
  await hub.stop();
  await rm(cacheDir, { recursive: true });
});

const archiveName = "datasets/princeton-nlp/datasets-for-simcse";

/** An archive as the hub has it: SentEval's folders at its top, or below another. */
async function archive(files: Record<string, string>): Promise<Buffer> {
  const folder = join(cacheDir, "to-pack");
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  await create({ cwd: folder, file: join(cacheDir, "packed.tar") }, ["."]);
  await rm(folder, { recursive: true });
  return readFile(join(cacheDir, "packed.tar"));
}

test.each(["", "data/downstream/"])(
  "fetches SentEval's archive, its folders below %j, and reads its sets",
  async (root) => {
    const tar = await archive({
      [`${root}STS/STSBenchmark/sts-test.csv`]: "main\tf\t2012\t1\t2.5\tA girl .\tA boy .\n",
      [`${root}CR/custrev.pos`]: "good\n",
      [`${root}CR/custrev.neg`]: "bad\n",
    });
    hub.repos[archiveName] = { commit: "c".repeat(40), files: { "README.md": Buffer.from("#"), "senteval.tar": tar } };
    const folder = await pullData("senteval", { cacheDir });
    expect((await readStsSet("stsb", folder)).subsets[0]!.pairs).toHaveLength(1);
    expect((await readTransferSet("cr", folder)).train).toHaveLength(2);
  },
);

test("a download that was cut goes on", async () => {
  const line = "main\tf\t2012\t1\t2.5\tA girl .\tA boy .\n";
  const tar = await archive({ "STS/STSBenchmark/sts-test.csv": line.repeat(60_000) });
  hub.repos[archiveName] = { commit: "c".repeat(40), files: { "senteval.tar": tar } };
  hub.cutAfterBytes = 300_000; // of 2 MB, and five cuts are borne
  await expect(pullData("senteval", { cacheDir })).rejects.toMatchObject({ code: "download" });
  hub.cutAfterBytes = Number.POSITIVE_INFINITY;
  await pullData("senteval", { cacheDir });
  expect(hub.storageRequests.at(-1)!.headers.range).toMatch(/^bytes=[1-9]\d*-$/);
});

test("fetches mteb's test splits, Parquet or packed JSON lines", async () => {
  const rows = [
    { sentence1: "A girl\tis here.", sentence2: "A boy.", score: 2.5 },
    { sentence1: "é", sentence2: "f", score: 0 },
  ];
  const column = <K extends keyof (typeof rows)[0]>(name: K) => ({ name, data: rows.map((row) => row[name]) });
  const parquet = Buffer.from(
    parquetWriteBuffer({ columnData: [column("sentence1"), column("sentence2"), column("score")] }),
  );
  const { gzipSync } = await import("node:zlib");
  const packed = gzipSync(rows.map((row) => JSON.stringify(row)).join("\n"));
  for (const name of ["sts12-sts", "sts13-sts", "sts14-sts", "sts15-sts", "sts16-sts", "stsbenchmark-sts"]) {
    const files = {
      "data/train-00000-of-00001.parquet": Buffer.from("no"),
      "data/test-00000-of-00001.parquet": parquet,
    };
    hub.repos[`datasets/mteb/${name}`] = { commit: "d".repeat(40), files };
  }
  hub.repos["datasets/mteb/sickr-sts"] = { commit: "e".repeat(40), files: { "test.jsonl.gz": packed } };
  const folder = await pullData("mteb", { cacheDir });
  for (const task of ["sts12", "stsb", "sickr"] as const) {
    expect((await readStsSet(task, folder)).subsets).toEqual([
      {
        name: "test",
        pairs: [
          { sentence1: "A girl is here.", sentence2: "A boy.", score: 2.5 },
          { sentence1: "é", sentence2: "f", score: 0 },
        ],
      },
    ]);
  }
});

test.each(["senteval", "mteb"] as const)(
  "%s into a cache that cannot be written is an error that names it",
  async (source) => {
    hub.repos[archiveName] = { commit: "c".repeat(40), files: { "senteval.tar": Buffer.from("no") } };
    const file = join(cacheDir, "a-file");
    await writeFile(file, "");
    await expect(pullData(source, { cacheDir: join(file, "cache") })).rejects.toMatchObject({
      code: "download",
      message: expect.stringMatching(/^the cache .*cache cannot be written \(.*Set ONEWORD_CACHE to a folder/),
    });
  },
);

test("a hub without the data set is an error that names it", async () => {
  await expect(pullData("senteval", { cacheDir })).rejects.toThrow(
    /has no datasets\/princeton-nlp\/datasets-for-simcse/,
  );
});
