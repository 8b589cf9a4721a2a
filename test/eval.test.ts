import { EventEmitter } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runCli } from "../src/cli/program.ts";
import type { EmbeddingModel } from "../src/embed/embedding-model.ts";
import type { LoadOptions } from "../src/embed/load.ts";
import { endpointSource } from "../src/evaluate/endpoint-source.ts";
import { npyHeader } from "../src/files/npy.ts";
import { completeRecipe } from "../src/text/complete-recipe.ts";

let folder: string;
let cacheBefore: string | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-eval-"));
  cacheBefore = process.env.ONEWORD_CACHE;
  process.env.ONEWORD_CACHE = join(folder, "cache");
});
afterEach(async () => {
  if (cacheBefore === undefined) delete process.env.ONEWORD_CACHE;
  else process.env.ONEWORD_CACHE = cacheBefore;
  await rm(folder, { recursive: true });
});

/** Counts of words in 64 bins; `shortest` leaves short words out, which is another recipe. */
function wordCounts(text: string, shortest: number): Float32Array {
  const vector = new Float32Array(64);
  for (const word of text.split(" ").filter(({ length }) => length >= shortest)) {
    const bin = Array.from(word).reduce((sum, character) => (sum * 31 + character.charCodeAt(0)) % 61, 7);
    vector[bin]! += 1;
  }
  return vector;
}

/** What a test may change, as another graph would. */
let graphId = "counts";

/** A model without a language model; notes the texts it was asked for. */
function wordModel(asked: string[], { recipe: options = {} }: LoadOptions): EmbeddingModel {
  const recipe = completeRecipe(options, { model: "words@1", precision: "float32" });
  const shortest = options.template ? 4 : 1;
  const unused = async (): Promise<never> => Promise.reject(new Error("not used"));
  return {
    name: "words",
    hiddenSize: 64,
    numLayers: 1,
    maxTokens: 100,
    recipe,
    recipeId: `words-${shortest}`,
    graphId,
    statistics: { runs: 0, sequences: 0, tokens: 0, computedTokens: 0, cells: 0, runtimeMs: 0 },
    async *embedStream(texts) {
      let index = 0;
      for await (const text of texts) {
        asked.push(text);
        yield { index: index++, embedding: wordCounts(text, shortest), tokens: 1, truncatedTokens: 0 };
      }
    },
    embed: unused,
    embedTokens: unused,
    embedLayers: unused,
    explain: unused,
    async *explainStream() {},
    withRecipe: unused,
    similarity: unused,
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

class Collector extends Writable {
  text = "";
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

async function oneword(...args: string[]) {
  const [stdout, stderr] = [new Collector(), new Collector()];
  const asked: string[] = [];
  const exitCode = await runCli(args, {
    load: async (_name, options) => wordModel(asked, options),
    pullModel: async () => Promise.reject(new Error("not used")),
    listModels: async () => [],
    listPrepared: async () => [],
    pruneCache: async () => [],
    stdin: Readable.from([]),
    stdout,
    stderr,
    signals: new EventEmitter(),
    env: {},
  });
  return { exitCode, out: stdout.text, err: stderr.text, asked };
}
const dev = ["eval", "--tasks", "stsb-dev"];

test("prints the table of the packaged sample, and keeps the vectors for the next run", async () => {
  const first = await oneword(...dev);
  expect(first).toMatchObject({
    exitCode: 0,
    err: expect.stringMatching(/^embedding 2,\d{3} texts\nwords .* texts\/s\n$/),
  });
  expect(first.out).toMatch(/^ +STS-B dev\nwords, float32 +\d\d\.\d\d\n$/);
  expect(new Set(first.asked).size).toBe(first.asked.length);
  const second = await oneword(...dev);
  expect([second.asked, second.out]).toEqual([[], first.out]);
  expect(second.err).toMatch(/2,\d{3} at hand/);
  expect((await oneword(...dev, "--no-cache", "-q")).asked.length).toBe(first.asked.length);
  graphId = "otherwise";
  expect((await oneword(...dev, "-q")).asked.length).toBe(first.asked.length);
});

test("a second recipe is compared with a saved run, with intervals, a report and JSON", async () => {
  const [plain, better, report] = ["plain.json", "better.json", "report.html"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await oneword(...dev, "--save", plain);
  const { out } = await oneword(
    ...[...dev, "--template", "x {text}", "--name", "long <words>", "--save", better],
    ...["--compare", plain, "--report", report],
  );
  expect(out).toMatch(/^long <words> less words, float32 +points +95 % interval\nSTS-B dev +[+−]\d+\.\d\d +\[/m);
  const html = await readFile(report, "utf8");
  expect(html).toContain("long &#60;words&#62;");
  expect(html).not.toMatch(/<script|src=|href="http|long <words>/);
  expect(html.match(/<svg/g)!.length).toBe(4); // the comparison, a scatter for each run, the bars
  expect(html.match(/class="scroll"/g)!.length).toBe(4); // results, recipes, differences, worst pairs
  const again = await oneword("compare", plain, better);
  expect([again.exitCode, again.out]).toEqual([0, out]);
  const saved = JSON.parse(await readFile(better, "utf8"));
  expect(saved).toMatchObject({ format: "oneword-evaluation-1", name: "long <words>", stsAverage: null });
  expect(saved.sts[0].subsets[0].cosines).toHaveLength(1500);
  expect(saved.sts[0].worst).toHaveLength(20);
});

test("a place that cannot be written is an error before anything is embedded", async () => {
  const file = join(folder, "a-file");
  await writeFile(file, "");
  for (const flag of ["--save", "--report", "--mteb"]) {
    const { exitCode, err, asked } = await oneword(...dev, "--no-cache", flag, join(file, "run.json"));
    expect([exitCode, asked]).toEqual([1, []]);
    expect(err).toMatch(new RegExp(`^oneword: ${flag} .*run.json: cannot be written \\((ENOTDIR|EEXIST)\\)`));
  }
  const place = join(folder, "new", "run.json");
  expect((await oneword(...dev, "--save", place)).exitCode).toBe(0);
  expect(JSON.parse(await readFile(place, "utf8")).sts).toHaveLength(1);
});

test("a run compared with itself differs by nothing", async () => {
  const file = join(folder, "run.json");
  await oneword(...dev, "--save", file);
  const { out } = await oneword("compare", file, file);
  expect(out).toMatch(/STS-B dev +\+0\.00 +\[\+0\.00, \+0\.00\]\n$/);
  expect(await oneword("compare", file)).toMatchObject({ exitCode: 2 });
});

describe("vectors of others", () => {
  test("--vectors takes rows in the order of data texts, or named by text", async () => {
    const { out: listed } = await oneword("data", "texts", "--tasks", "stsb-dev");
    const texts = listed.split("\n").slice(0, -1);
    const vectors = texts.map((text) => wordCounts(text, 1));
    const npy = join(folder, "vectors.npy");
    const rows = vectors.map((vector) => Buffer.from(vector.buffer));
    await writeFile(npy, Buffer.concat([npyHeader(texts.length, 64), ...rows]));
    const jsonl = join(folder, "vectors.jsonl");
    const lines = texts.map((text, i) => JSON.stringify({ text, embedding: Array.from(vectors[i]!) }));
    await writeFile(jsonl, lines.toReversed().join("\n"));
    const score = (await oneword(...dev)).out.match(/\d\d\.\d\d/)![0];
    for (const file of [npy, jsonl]) {
      const { exitCode, out, asked } = await oneword(...dev, "--vectors", file);
      expect([exitCode, out.match(/\d\d\.\d\d/)![0], asked]).toEqual([0, score, []]);
    }
    const numbered = vectors.map((vector, index) => JSON.stringify({ index, embedding: Array.from(vector) }));
    await writeFile(jsonl, numbered.toReversed().join("\n")); // as embed writes them, in any order
    expect((await oneword(...dev, "--vectors", jsonl)).out.match(/\d\d\.\d\d/)![0]).toBe(score);
    await writeFile(jsonl, lines.slice(1).join("\n"));
    expect((await oneword(...dev, "--vectors", jsonl)).err).toMatch(/vectors\.jsonl: no vector for the text "/);
    await writeFile(npy, Buffer.concat([npyHeader(1, 64), rows[0]!]));
    expect((await oneword(...dev, "--vectors", npy)).err).toMatch(
      /1 vectors, but the tasks have 2\d{3} distinct texts/,
    );
  });

  test("--endpoint asks a server in OpenAI's form, once more where it is busy", async () => {
    let requests = 0;
    const server = createServer(async (request, response) => {
      if (requests++ === 0) return response.writeHead(429).end();
      const body = JSON.parse(Buffer.concat(await collect(request)).toString());
      expect([request.url, body.model]).toEqual(["/v1/embeddings", "counter"]);
      const data = body.input.map((text: string, index: number) => ({ index, embedding: [...wordCounts(text, 1)] }));
      return response.end(JSON.stringify({ data: data.reverse() }));
    }).listen(0, "127.0.0.1");
    await new Promise((done) => server.once("listening", done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const flags = [...dev, "--endpoint", `${url}/v1`, "--endpoint-model", "counter"];
    const { exitCode, out } = await oneword(...flags);
    expect([exitCode, out.match(/\d\d\.\d\d/)![0]]).toEqual([0, (await oneword(...dev)).out.match(/\d\d\.\d\d/)![0]]);
    const before = requests;
    await oneword(...flags);
    expect(requests).toBe(before); // kept on disk by address and model
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
    expect((await oneword(...flags, "--no-cache")).err).toMatch(/cannot be reached .*Is the server running\?/);
  });

  test.each([
    ["a null for a vector", JSON.stringify({ data: [null] }), /no vector came back for number 0/],
    ["vectors of no numbers", JSON.stringify({ data: [{ embedding: [] }] }), /no vector came back for number 0/],
    ["what is no JSON", "hello", /answers, but not with JSON/],
  ])("--endpoint that answers with %s is told as such", async (_what, answer, message) => {
    const server = createServer((_, response) => response.end(answer)).listen(0, "127.0.0.1");
    await new Promise((done) => server.once("listening", done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { exitCode, err } = await oneword(...dev, "--endpoint", url);
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
    expect([exitCode, err]).toEqual([1, expect.stringMatching(message)]);
  });

  test("--endpoint gets a full stop for an empty text, which servers refuse", async () => {
    const inputs: string[] = [];
    const server = createServer(async (request, response) => {
      const body = JSON.parse(Buffer.concat(await collect(request)).toString());
      inputs.push(...body.input);
      return response.end(JSON.stringify({ data: body.input.map(() => ({ embedding: [1, 2] })) }));
    }).listen(0, "127.0.0.1");
    await new Promise((done) => server.once("listening", done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const [vectors] = [await endpointSource(url).embed(["a", "", "b"])];
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
    expect([inputs, vectors.length]).toEqual([["a", ".", "b"], 3]);
  });

  test("--save and --report in one file are wrong use", async () => {
    const one = join(folder, "one");
    const { exitCode, err } = await oneword(...dev, "--save", one, "--report", one);
    expect([exitCode, err]).toEqual([2, expect.stringMatching(/--save and --report are both .*one\./)]);
  });

  test("--data that is no folder is told, also where the set comes with the package", async () => {
    const { exitCode, err } = await oneword(...dev, "--data", join(folder, "nowhere"));
    expect([exitCode, err]).toEqual([1, expect.stringMatching(/--data .*nowhere: there is no such folder/)]);
  });

  test.each([
    [["--endpoint", "http://x", "--vectors", "y.npy"], /vectors come from one of them/],
    [["--endpoint-model", "x"], /goes with --endpoint/],
  ])("%j is wrong use", async (flags, message) => {
    expect(await oneword(...dev, ...flags)).toMatchObject({ exitCode: 2, err: expect.stringMatching(message) });
  });
});

test("--mteb writes the result form of the leaderboard", async () => {
  const sickr = join(folder, "SICKR");
  await mkdir(sickr);
  await writeFile(join(sickr, "test.tsv"), "score\tsentence1\tsentence2\n1\ta b\tc d\n3\ta b\ta c\n5\ta b\tb a\n");
  const { exitCode } = await oneword("eval", "--tasks", "sickr", "--data", folder, "--mteb", join(folder, "results"));
  expect(exitCode).toBe(0);
  const place = join(folder, "results", "words", "1_words-1");
  const result = JSON.parse(await readFile(join(place, "SICK-R.json"), "utf8"));
  expect(result.scores.test[0]).toMatchObject({
    main_score: expect.closeTo(1, 12),
    cosine_spearman: expect.closeTo(1, 12),
    hf_subset: "default",
    languages: ["eng-Latn"],
  });
  expect(result.scores.test[0].euclidean_spearman).toBeCloseTo(1, 12);
  expect(JSON.parse(await readFile(join(place, "model_meta.json"), "utf8"))).toMatchObject({
    name: "words",
    revision: "1_words-1",
  });
  const settings = await readFile(join(place, "run_settings.jsonl"), "utf8");
  expect(settings.trimEnd().split("\n")).toHaveLength(1);
  const { mteb_version: mteb } = result;
  expect(JSON.parse(settings)).toMatchObject({
    task: "SICK-R",
    splits: ["test"],
    subsets: ["default"],
    version: { mteb, torch: null },
    encode_kwargs: {},
  });
});

test("--mteb keeps the settings of other tasks, and has one line for each task", async () => {
  const [once, other] = [
    { task: "SICK-R", splits: ["test"] },
    { task: "STS12", splits: ["test"] },
  ];
  const place = join(folder, "results", "words", "1_words-1");
  await mkdir(place, { recursive: true });
  await writeFile(join(place, "run_settings.jsonl"), `${JSON.stringify(once)}\n${JSON.stringify(other)}\nnull\n{`);
  await mkdir(join(folder, "SICKR"));
  await writeFile(join(folder, "SICKR", "test.tsv"), "score\tsentence1\tsentence2\n1\ta b\tc d\n3\ta b\ta c\n");
  const { exitCode } = await oneword("eval", "--tasks", "sickr", "--data", folder, "--mteb", join(folder, "results"));
  expect(exitCode).toBe(0);
  const lines = (await readFile(join(place, "run_settings.jsonl"), "utf8")).trimEnd().split("\n");
  expect(lines.slice(0, 3)).toEqual([JSON.stringify(other), "null", "{"]);
  expect(lines.slice(3).map((line) => JSON.parse(line).task)).toEqual(["SICK-R"]);
});

test("a transfer task gets its accuracy, and a missing set its name", async () => {
  await mkdir(join(folder, "TREC"));
  const rows = (count: number): string =>
    Array.from(
      { length: count },
      (_, i) => `${i % 2 ? "NUM" : "LOC"}\t${i % 2 ? "how many" : "where is"} w${i}\tx\n`,
    ).join("");
  await writeFile(join(folder, "TREC", "train.tsv"), `label\tsentence\tfine\n${rows(2000)}`);
  await writeFile(join(folder, "TREC", "test.tsv"), `label\tsentence\tfine\n${rows(40)}`);
  const { out } = await oneword("eval", "--tasks", "trec", "--mode", "fast", "--data", folder, "-q");
  expect(out).toMatch(/TREC\nwords, float32 +100\.00\n$/);
  const { exitCode, err } = await oneword("eval", "--data", folder);
  expect([exitCode, err]).toEqual([1, expect.stringMatching(/^oneword: STS12 is not in .*oneword data pull sts/)]);
  expect(await oneword("eval", "--tasks", "sst3")).toMatchObject({
    exitCode: 1,
    err: expect.stringContaining('"sst3" is no task'),
  });
});

async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}
