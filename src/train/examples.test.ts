import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteFile } from "hyparquet-writer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultColumns, readExamples } from "./examples.ts";
import { mixSources } from "./mix-sources.ts";
import { nliTriples } from "./nli-triples.ts";
import { countOverlap } from "./overlap.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-examples-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function fileOf(name: string, contents: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, /\.gz$/i.test(name) ? gzipSync(contents) : contents);
  return file;
}

const columns = defaultColumns;
const expected = [
  { anchor: 'A "dog", small.', positive: "An animal", hardNegative: "A cat" },
  { anchor: "Rain\u00e9", positive: "Wet", hardNegative: "Dry" },
];
const json = expected.map(({ anchor, positive, hardNegative }) =>
  JSON.stringify({ hard_neg: hardNegative, sent0: anchor, sent1: positive, other: 1 }),
);

describe("the same examples come from", () => {
  test.each([
    ["tsv", `sent1\tsent0\thard_neg\nAn animal\tA "dog", small.\tA cat\nWet\tRain\u00e9\tDry\n`],
    ["TSV.GZ", `sent0\tsent1\thard_neg\nA "dog", small.\tAn animal\tA cat\nRain\u00e9\tWet\tDry`],
    ["csv", `sent0,hard_neg,sent1\r\n"A ""dog"", small.",A cat,An animal\r\nRain\u00e9,Dry,Wet\r\n`],
    ["jsonl", `${json.join("\n")}\n`],
  ])("%s", async (extension, contents) => {
    const { examples } = await readExamples(await fileOf(`a.${extension}`, contents), { columns });
    expect(examples).toEqual(expected);
  });

  test.each(["SNAPPY", "GZIP"] as const)("parquet, %s", async (codec) => {
    const file = join(folder, `${codec}.parquet`);
    const columnData = [
      { name: "sent0", data: expected.map(({ anchor }) => anchor), type: "STRING" as const },
      { name: "sent1", data: expected.map(({ positive }) => positive), type: "STRING" as const },
      { name: "hard_neg", data: expected.map(({ hardNegative }) => hardNegative), type: "STRING" as const },
    ];
    parquetWriteFile({ filename: file, columnData, codec, compressors: { GZIP: (bytes) => gzipSync(bytes) } });
    expect((await readExamples(file, { columns })).examples).toEqual(expected);
  });
});

test("a row with an empty hard negative is a pair", async () => {
  const tsv = await fileOf("mixed.tsv", "sent0\tsent1\thard_neg\na\tb\t\nc\td\te\n");
  const jsonl = await fileOf(
    "mixed.jsonl",
    '{"sent0":"a","sent1":"b","hard_neg":null}\n{"sent0":"c","sent1":"d","hard_neg":"e"}',
  );
  const pair = { anchor: "a", positive: "b", hardNegative: null };
  const triple = { anchor: "c", positive: "d", hardNegative: "e" };
  for (const file of [tsv, jsonl]) expect((await readExamples(file, { columns })).examples).toEqual([pair, triple]);
});

describe("a mix of sources", () => {
  const rows = (prefix: string, count: number, source: string): string =>
    Array.from({ length: count }, (_, i) => `${prefix}${i}\t${prefix}${i}'\t${prefix}-\t${source}\n`).join("");
  const files = async (): Promise<string[]> => [
    await fileOf("triples.tsv", `sent0\tsent1\thard_neg\tsource\n${rows("a", 9, "one")}${rows("b", 9, "two")}`),
    await fileOf("pairs.csv", 'sentence1,sentence2,source\n"p\n0",q0,three\np1,q1,three\n'),
  ];

  test("takes what is asked of each, in an order that follows from the seed", async () => {
    const counts = new Map([
      ["one", 4],
      ["three", 2],
    ]);
    const mixed = await mixSources(await files(), counts, 7);
    expect(mixed.map(({ source }) => source).sort()).toEqual(["one", "one", "one", "one", "three", "three"]);
    expect(new Set(mixed.map(({ anchor }) => anchor)).size).toBe(6);
    expect(mixed.find(({ positive }) => positive === "q0")).toMatchObject({ anchor: "p 0", hardNegative: "" });
    expect(await mixSources(await files(), counts, 7)).toEqual(mixed);
    expect(await mixSources(await files(), counts, 8)).not.toEqual(mixed);
  });

  test("says which source has too few rows, and which file lacks a column", async () => {
    await expect(mixSources(await files(), new Map([["three", 3]]), 7)).rejects.toThrow(
      /three has 2 rows in these files, not 3/,
    );
    await expect(mixSources(await files(), new Map([["four", 1]]), 7)).rejects.toThrow(
      /four has 0 rows .*There are one, three, two/,
    );
    const bare = await fileOf("bare.tsv", "sent0\tsent1\na\tb\n");
    await expect(mixSources([bare], new Map(), 7)).rejects.toThrow(
      /bare\.tsv:2: the columns are sent0, sent1; a mix needs source/,
    );
  });
});

describe("a wrong row", () => {
  test.each([
    ["an empty text", "a.tsv", "sent0\tsent1\thard_neg\na\tb\tc\nd\t \tf\n", /a\.tsv:3: "sent1" is empty/],
    ["too few fields", "b.tsv", "sent0\tsent1\thard_neg\na\tb\n", /b\.tsv:2: 2 fields, but the header has 3/],
    ["a missing column", "c.tsv", "sent0\tsent1\na\tb\n", /no column "hard_neg"; there are sent0, sent1/],
    ["what is no JSON", "d.jsonl", '{"sent0":1}', /d\.jsonl:1: "sent0" is 1, not a text/],
    ["an unknown extension", "e.txt", "a", /its extension names no format/],
  ])("is reported by line: %s", async (_what, name, contents, message) => {
    await expect(readExamples(await fileOf(name, contents), { columns })).rejects.toThrow(message);
  });

  test("is left out and counted if asked to", async () => {
    const file = await fileOf("skip.jsonl", `${json[0]}\nnot json\n{"sent0":"a"}\n${json[1]}\n`);
    expect(await readExamples(file, { columns, skipsBadRows: true })).toMatchObject({ examples: expected, skipped: 2 });
  });

  test("with whole numbers of 64 bits for texts is one too", async () => {
    const file = join(folder, "wide.parquet");
    parquetWriteFile({
      filename: file,
      columnData: [
        { name: "sent0", data: [5n, 6n], type: "INT64" },
        { name: "sent1", data: ["a", "b"], type: "STRING" },
      ],
    });
    const pairs = { ...columns, hardNegative: null };
    await expect(readExamples(file, { columns: pairs })).rejects.toThrow(/"sent0" is 5, not a text/);
  });
});

test.each([
  ["cut.parquet", "PAR1", /cut\.parquet: no Parquet that can be read: .*\. Write the file again, or as \.tsv/],
  [
    "twice.tsv",
    "sent0\tsent1\tsent0\na\tb\tc\n",
    /twice\.tsv:1: the header has two columns "sent0"\. Give each a name/,
  ],
  ["bytes in the header.csv", "sent0,\xff\na,b\n", /header\.csv:1: the header is not UTF-8/],
  ["cut.csv.gz", "\x1f\x8b\x08junk", /cut\.csv\.gz: cannot be read \(Z_\w+\)\. It is damaged: get it again\./],
  ["cut.tsv.gz", "\x1f\x8b\x08junk", /cut\.tsv\.gz: cannot be read \(Z_\w+\)\. It is damaged: get it again\./],
])("a damaged file is told as such, with what to do: %s", async (name, contents, message) => {
  const file = join(folder, name);
  await writeFile(file, contents, "latin1");
  await expect(readExamples(file, { columns })).rejects.toThrow(message);
});

test.each([
  ["no rows", "sent0\tsent1\thard_neg\tsource\n", /none\.tsv: holds no example: there are no rows\. Give a file/],
  [
    "rows that are wrong or of sources left out",
    "sent0\tsent1\thard_neg\tsource\na\tb\tc\tx\na\t\tc\ty\na\t\tc\ty\n",
    /no example: 1 rows are of sources that are left out, 2 are wrong, the first one .*none\.tsv:3: "sent1" is empty\. Put/,
  ],
])("a file without an example says why it has none: %s", async (_what, contents, message) => {
  const file = await fileOf("none.tsv", contents);
  await expect(readExamples(file, { columns, skipsBadRows: true, excludedSources: ["x"] })).rejects.toThrow(message);
});

test("sources that rows were of are told, and where no row says its source", async () => {
  const file = await fileOf("sources.tsv", "sent0\tsent1\thard_neg\tsource\na\tb\tc\tone\nd\te\tf\ttwo\n");
  const { examples, sourcesLeftOut } = await readExamples(file, { columns, excludedSources: ["one", "three"] });
  expect([examples.map(({ anchor }) => anchor), sourcesLeftOut]).toEqual([["d"], new Set(["one"])]);
  const other = { columns: { ...columns, source: "dataset" }, excludedSources: ["one"] };
  expect((await readExamples(file, other)).sourcesLeftOut).toBeNull();
});

test.each([
  ["plain", "\ufeffsent0,sent1,hard_neg\né,b,c\n"],
  ["quoted", '\ufeff"sent0","sent1","hard_neg"\r\n"é",b,c\r\n'],
])("a byte order mark in front of CSV is no part of the first name: %s", async (_what, contents) => {
  const { examples } = await readExamples(await fileOf("mark.csv", contents), { columns });
  expect(examples).toEqual([{ anchor: "é", positive: "b", hardNegative: "c" }]);
});

test("triples pair off what a premise entails and contradicts, the shorter list repeated", async () => {
  const file = await fileOf(
    "nli.tsv",
    "premise\thypothesis\tlabel\np\te1\tentailment\np\tc1\tcontradiction\np\tn\tneutral\np\te2\t0\nq\te\te\n" +
      "p\tboth\te\np\tboth\tc\np\tp\te\n", // said to be both, and the premise itself
  );
  expect(await nliTriples([file], { premise: "premise", hypothesis: "hypothesis", label: "label" })).toEqual({
    triples: [
      { premise: "p", entailed: "e1", contradicted: "c1" },
      { premise: "p", entailed: "e2", contradicted: "c1" },
    ],
    unused: 4,
  });
});

test("an example that is in a test set is found however it is written", () => {
  const pairs = [{ sentence1: "a dog , small .", sentence2: "x", score: 1 }];
  const counts = countOverlap(
    [{ anchor: "A dog, small!", positive: "b", hardNegative: null }],
    [{ task: "stsb", subsets: [{ name: "test", pairs }] }],
  );
  expect([...counts]).toEqual([["stsb", 1]]);
});

describe("rows that are wrong in themselves are skipped and counted", () => {
  test("a line that is not UTF-8", async () => {
    for (const [name, rows] of [
      ["bytes.tsv", ["sent0\tsent1\thard_neg", "a\tb\tc", "\xff\tb\tc", "d\te\tf"]],
      [
        "bytes.jsonl",
        ['{"sent0":"a","sent1":"b","hard_neg":"c"}', '{"sent0":"\xff"}', '{"sent0":"d","sent1":"e","hard_neg":"f"}'],
      ],
      ["bytes.csv", ["sent0,sent1,hard_neg", "a,b,c", "\xff,b,c", "d,e,f"]],
    ] as const) {
      const file = join(folder, name);
      await writeFile(file, Buffer.from(rows.join("\n"), "latin1"));
      const { examples, skipped } = await readExamples(file, { columns, skipsBadRows: true });
      expect([examples.map(({ anchor }) => anchor), skipped]).toEqual([["a", "d"], 1]);
      await expect(readExamples(file, { columns })).rejects.toThrow(/bytes\.\w+:[23]: not UTF-8/);
    }
  });

  test("a stray quote in CSV, or several in a row", async () => {
    const file = await fileOf("quote.csv", 'sent0,sent1,hard_neg\na,b,c\nx"y"z"w,b,c\nd,e,f\n');
    const { examples, skipped } = await readExamples(file, { columns, skipsBadRows: true });
    expect([examples.map(({ anchor }) => anchor), skipped]).toEqual([["a", "d"], 1]);
    await expect(readExamples(file, { columns })).rejects.toThrow(/quote\.csv:3: not CSV/);
    const closed = await fileOf("closed.csv", 'sent0,sent1,hard_neg\na,b,c\n"x"y,b,c\nd,e,f\n'); // where do rows begin again?
    await expect(readExamples(closed, { columns, skipsBadRows: true })).rejects.toThrow(/closed\.csv: not CSV/);
  });
});

test("NLI rows of another width than the header are not used, and counted", async () => {
  const rows = ["premise\thypothesis\tlabel", "p\te\tentailment", "p\tc\tcontradiction", "p\tx\tentailment\textra"];
  const file = await fileOf("wide.tsv", rows.join("\n"));
  const { triples, unused } = await nliTriples([file], {
    premise: "premise",
    hypothesis: "hypothesis",
    label: "label",
  });
  expect([triples, unused]).toEqual([[{ premise: "p", entailed: "e", contradicted: "c" }], 1]);
});
