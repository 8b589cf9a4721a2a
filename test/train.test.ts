import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LoadProgress } from "../src/embed/load.ts";
import { readFloats } from "../src/files/float-tensors.ts";
import { preparedRoot } from "../src/files/prepared.ts";
import { readSafetensors } from "../src/files/safetensors.ts";
import { readAdapter } from "../src/models/adapter-file.ts";
import type { DenseTensor } from "../src/models/weights.ts";
import { type TrainOptions, trainDefaults } from "../src/train/options.ts";
import { train } from "../src/train/trainer.ts";
import { type LogEntry, readLog } from "../src/train/training-log.ts";
import { openTrainingModel } from "../src/train/training-model.ts";
import { writeTinyModel, writeTriples } from "./tiny-model.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-train-"));
  await writeTinyModel(folder);
  writeTriples(join(folder, "triples.tsv"));
});
afterAll(() => rm(folder, { recursive: true }));

const options = (output: string, changes: Partial<TrainOptions> = {}): TrainOptions => ({
  ...trainDefaults,
  model: folder,
  data: [join(folder, "triples.tsv")],
  output: join(folder, output),
  rank: 4,
  batchSize: 8,
  epochs: 4,
  warmupSteps: 2,
  learningRate: 5e-3,
  evalEvery: 12,
  cacheDir: folder,
  ...changes,
});

const losses = (log: readonly LogEntry[]): number[] =>
  log.flatMap(({ loss }) => (typeof loss === "number" ? [loss] : []));
const logOf = (output: string): Promise<LogEntry[]> => readLog(join(folder, output, "log.jsonl"));
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("a run", () => {
  test("lowers the loss, scores on STS-B dev, and keeps the best adapter in PEFT's form", async () => {
    const result = await train(options("whole"));
    const log = await logOf("whole");
    expect(losses(log)).toHaveLength(24); // 48 triples in batches of 8, four times
    expect(mean(losses(log).slice(-6))).toBeLessThan(mean(losses(log).slice(0, 6)) - 0.3);
    const scores = log.flatMap(({ devSpearman }) => (devSpearman === undefined ? [] : [devSpearman as number]));
    expect(scores).toHaveLength(2);
    expect(result.best.score).toBe(Math.max(...scores));
    const { config, pairs } = await readAdapter(join(folder, "whole"));
    expect(config).toMatchObject({ rank: 4, alpha: 16 });
    expect(pairs.size).toBe(21); // seven linear weights in three layers
    expect(pairs.get("layers.0.mlp.down_proj")!.scale).toBe(4);
  });

  test("gives the same losses in parts of 60 tokens as with the batch in one", async () => {
    const changes = { epochs: 1, dropout: 0 };
    await train(options("parts", { ...changes, microBatchTokens: 60 }));
    await train(options("one", { ...changes, microBatchTokens: "batch" }));
    const [parts, one] = [losses(await logOf("parts")), losses(await logOf("one"))];
    parts.forEach((loss, step) => {
      expect(loss).toBeCloseTo(one[step]!, 3);
    });
  });

  test.each(["nf4", "int4", "int8", "stored"] as const)("on %s weights lowers the loss too", async (precision) => {
    await train(options(precision, { precision, epochs: 2 }));
    const log = losses(await logOf(precision));
    expect(mean(log.slice(-3))).toBeLessThan(mean(log.slice(0, 3)) - 0.2);
  });

  test("widens 16-bit weights once, into the cache, for all of its sessions", async () => {
    const half = join(folder, "half");
    await mkdir(half);
    await writeTinyModel(half, { type: "F16" });
    const steps: string[] = [];
    const onProgress = ({ action = "fetching", file }: LoadProgress) => void steps.push(`${action} ${file}`);
    const changes = { model: half, epochs: 1, cacheDir: half };
    await train(options("half-stored", { ...changes, precision: "stored" }), { onProgress });
    expect(new Set(steps)).toEqual(new Set(["preparing float32 weights"]));
    const made = await openTrainingModel(options("half-float32", { ...changes, precision: "float32" }));
    const [tensors, read] = [made.adapted.checkpoint.tensors, await readSafetensors(join(half, "model.safetensors"))];
    for (const [name, tensor] of tensors) {
      const isTable = name === "embed_tokens.weight";
      expect(tensor).toMatchObject({ kind: "dense", type: isTable ? "float16" : "float32" });
      expect((tensor as DenseTensor).file.startsWith(preparedRoot(half))).toBe(true);
    }
    const matrix = tensors.get("layers.1.mlp.up_proj.weight") as DenseTensor;
    const widened = await readFloats({ ...matrix, name: "", type: "F32" });
    expect(widened).toEqual(await readFloats(read.get("layers.1.mlp.up_proj.weight")!));
  });

  test("trains on texts alone, as SimCSE does: dropout makes two views of each", async () => {
    const columns = { anchor: "sent0", positive: "sent0", hardNegative: null };
    await train(options("unsupervised", { columns, epochs: 2, dropout: 0.3 }));
    const log = losses(await logOf("unsupervised"));
    expect(log.every((loss) => loss > 0)).toBe(true);
    expect(mean(log.slice(-4))).toBeLessThan(mean(log.slice(0, 4)));
  });

  test("takes pairs without hard negatives", async () => {
    const columns = { ...trainDefaults.columns, hardNegative: null };
    await train(options("pairs", { columns, epochs: 1 }));
    expect(losses(await logOf("pairs"))[0]).toBeLessThan(Math.log(8) + 0.5);
  });

  test("ends with a clear error when the loss is no number, and leaves no damaged adapter or checkpoint", async () => {
    const nan = options("nan", { learningRate: 1e30, warmupSteps: 1, epochs: 1, evalEvery: 1 });
    await expect(train(nan)).rejects.toMatchObject({
      code: "diverged",
      message:
        /nan: step 2: the adapted model gives no numbers\. The adapter of step 1 is kept\. .*lower learning rate/,
    });
    expect(losses(await logOf("nan")).every(Number.isFinite)).toBe(true);
    const { pairs } = await readAdapter(join(folder, "nan"));
    for (const { a, b } of pairs.values()) expect([...a.values, ...b.values].every(Number.isFinite)).toBe(true);
    const checkpoint = await readSafetensors(join(folder, "nan", "checkpoint.safetensors"));
    for (const entry of checkpoint.values()) expect((await readFloats(entry)).every(Number.isFinite)).toBe(true);
  });

  test.each([
    [
      "a target that there is not",
      { targets: ["q_proj", "v_prj"] },
      /no linear weight is called "v_prj"\. Targets are .*q_proj/,
    ],
    ["a layer without weights", { recipe: { layer: 0 } }, /layer 0 has no linear weight to train/],
    [
      "sentences longer than the model takes",
      { maxSentenceTokens: 100_000 },
      /maxSentenceTokens is 100000, .* the model takes \d+/,
    ],
    [
      "pairs one by one, of which none has another to be told from",
      { batchSize: 1, columns: { anchor: "sent0", positive: "sent1", hardNegative: null } },
      /batchSize is 1, but a pair without a hard negative/,
    ],
    ["a folder without test sets", { testData: "/nowhere" }, /there is no folder \/nowhere/],
    ["half a batch", { microBatchTokens: 0.5 }, /microBatchTokens is 0\.5; it must be a whole number over 0/],
  ] as const)("refuses %s", async (_title, changes, message) => {
    await expect(train(options("refused", changes))).rejects.toThrow(message);
  });

  test("takes as many texts at once as a memory allows: more of it, more of them, and the same losses", async () => {
    const changes = { epochs: 1, dropout: 0, maxSentenceTokens: 200 };
    const chosen = async (output: string, memoryBytes: number): Promise<number | "batch"> => {
      let tokens: number | "batch" = 0;
      await train(options(output, { ...changes, microBatchTokens: { memoryBytes } }), {
        onStart: ({ microBatchTokens }) => {
          tokens = microBatchTokens;
        },
      });
      return tokens;
    };
    const [small, large] = [await chosen("small", 190e6), await chosen("large", 230e6)] as [number, number];
    expect(small).toBeGreaterThan(0);
    expect(large).toBeGreaterThan(small);
    expect(await chosen("ample", 2e9)).toBe("batch");
    const [ofSmall, ofAmple] = [losses(await logOf("small")), losses(await logOf("ample"))];
    for (const [step, loss] of ofSmall.entries()) expect(loss).toBeCloseTo(ofAmple[step]!, 3);
    await expect(chosen("tiny", 50e6)).rejects.toThrow(/memory is 50 MB, but training needs 1\d\d MB at least/);
  });

  test("takes a recipe: by its fields and by its name, kept beside the adapter", async () => {
    const demonstrations = [{ sentence: "A jockey riding a horse.", word: "Equestrian" }];
    const recipe = { template: 'The gist of "{text}" is:"', demonstrations, layer: 2 };
    await train(options("recipe", { recipe, epochs: 1 }));
    await train(options("named", { recipeName: "pretendedCot", recipe: { layer: 2 }, epochs: 1 }));
    const kept = async (output: string) => JSON.parse(await readFile(join(folder, output, "recipe.json"), "utf8"));
    expect(await kept("recipe")).toMatchObject(recipe);
    expect((await readAdapter(join(folder, "recipe"))).pairs.size).toBe(14); // of two layers
    expect(await kept("named")).toMatchObject({ layer: 2, demonstrations: [] });
    expect((await kept("named")).template).toMatch(/^After thinking step by step/);
    expect(losses(await logOf("recipe"))).not.toEqual(losses(await logOf("named")));
  });

  test.each([
    ["whitening", { whitening: { mean: "", directions: "", scales: [] } }],
    ["subtractTemplate", { subtractTemplate: 1 }],
    ["pooling", { pooling: "mean" as const }],
    ["several templates", { template: ["{text} is", "{text} means"] }],
  ])("refuses a recipe with %s", async (what, recipe) => {
    await expect(train(options("refused", { recipe }))).rejects.toMatchObject({
      code: "bad-recipe",
      message: expect.stringContaining(`but this one has ${what}.`),
    });
  });

  test("shows itself on a page, which goes on with the run", async () => {
    const dashboard = join(folder, "shown.html");
    const stop = new AbortController();
    const onStep = ({ step }: { step: number }): void => {
      if (step === 4) stop.abort();
    };
    const shown = options("shown", { dashboard, epochs: 1 });
    await expect(train(shown, { signal: stop.signal, onStep })).rejects.toMatchObject({ code: "aborted" });
    expect(await readFile(dashboard, "utf8")).toContain("step 4 of 6 · stopped after 4 steps");
    await train({ ...shown, resume: true });
    const page = await readFile(dashboard, "utf8");
    expect(page).toContain("step 6 of 6 · done");
    expect(page.match(/<circle /g)!.length).toBeGreaterThan(6);
  });

  test("is stopped in the middle of a step or a score, and goes on to the same end", async () => {
    const changes = { epochs: 1, dropout: 0.1, evalEvery: 6, microBatchTokens: 120 };
    const numbers = async (output: string) =>
      (await logOf(output)).map(({ step, loss, devSpearman }) => ({ step, loss, devSpearman }));
    const whole = await train(options("not stopped", changes));
    for (const step of [3, 6]) {
      const output = `stopped after ${step}`;
      const stop = new AbortController();
      const onStep = (report: { step: number }): void => {
        if (report.step === step) setTimeout(() => stop.abort(), 5);
      };
      await expect(train(options(output, changes), { signal: stop.signal, onStep })).rejects.toMatchObject({
        code: "aborted",
        message: `stopped after ${step} steps; --resume goes on from there.`,
      });
      expect((await numbers(output)).some(({ devSpearman }) => devSpearman !== undefined)).toBe(false);
      expect(await train({ ...options(output, changes), resume: true })).toEqual(whole);
      expect(await numbers(output)).toEqual(await numbers("not stopped"));
    }
  });

  test("into a folder where one of its files is a folder is refused by that one's name", async () => {
    await mkdir(join(folder, "taken", "log.jsonl"), { recursive: true });
    await expect(train(options("taken"))).rejects.toMatchObject({
      code: "bad-option",
      message: `${join(folder, "taken", "log.jsonl")}: is a folder, where a file is to be written. Move it away.`,
    });
  });

  test.runIf(process.platform !== "win32")(
    "with a log that cannot be read is refused, and nothing is written over it",
    async () => {
      const log = join(folder, "endless", "log.jsonl");
      await mkdir(join(folder, "endless"));
      await symlink(log, log);
      await expect(train(options("endless"))).rejects.toMatchObject({
        code: "bad-option",
        message: `${log}: cannot be read (ELOOP). Move it away.`,
      });
      expect((await lstat(log)).isSymbolicLink()).toBe(true);
    },
  );

  test("into a place below a file is refused by the place's name", async () => {
    await expect(train(options(join("config.json", "run")))).rejects.toMatchObject({
      code: "bad-option",
      message: expect.stringMatching(
        /^--output .*config\.json.run: cannot be written \(\w+\)\. Choose another place\.$/,
      ),
    });
  });

  test("into no folder is refused", async () => {
    await expect(train({ ...options(""), output: "" })).rejects.toMatchObject({
      code: "bad-option",
      message: "--output: names no folder. Name one.",
    });
  });

  test("leaves out the sources it is told to", async () => {
    const columns = { ...trainDefaults.columns, source: "source" };
    const excludedSources = ["runs-source", "sleeps-source", "eats-source"];
    await train(options("sources", { columns, excludedSources, epochs: 1, warmupSteps: 0 }));
    expect(losses(await logOf("sources"))).toHaveLength(3); // 24 of 48 in batches of 8
  });
});

describe("a run that is killed", () => {
  const program = resolve(import.meta.dirname, "../dist/cli/main.js");
  const limit = 64 * 1024;
  /** @param fileBytes  largest file it may write: what a full disk is to a checkpoint */
  const start = (output: string, { fileBytes = 0, stderr = "inherit" as "inherit" | "pipe" } = {}): ChildProcess =>
    spawn(
      ...limited(
        fileBytes,
        process.execPath,
        [program, "train", "--resume", "--data", join(folder, "triples.tsv"), "--output", join(folder, output)]
          .concat(["--model", folder, "--rank", "4", "--batch-size", "8", "--epochs", "12", "--warmup-steps", "5"])
          .concat(["--learning-rate", "5e-3", "--eval-every", "36", "--quiet"]),
      ),
      {
        stdio: ["ignore", "ignore", stderr],
        env: { ...process.env, ONEWORD_CACHE: folder },
      },
    );
  const limited = (bytes: number, command: string, args: string[]): [string, string[]] => {
    if (bytes === 0) return [command, args];
    const blocks = Math.floor(bytes / 1024); // of 512 or 1024 bytes, by the shell
    return ["sh", ["-c", `ulimit -f ${blocks} && exec "$0" "$@"`, command, ...args]];
  };
  const finish = async (child: ChildProcess): Promise<void> => {
    expect((await once(child, "exit"))[0]).toBe(0);
  };

  test("with SIGKILL goes on from its checkpoint with the losses of one that was not", async () => {
    const killed = start("killed");
    const exit = once(killed, "exit");
    const hasSteps = async (): Promise<boolean> => losses(await logOf("killed")).length >= 23;
    while (killed.exitCode === null && !(await hasSteps())) await new Promise((tick) => setTimeout(tick, 5));
    killed.kill("SIGKILL");
    expect((await exit)[1]).toBe("SIGKILL");
    await finish(start("killed"));
    await finish(start("whole-again"));
    const [resumed, whole] = [await logOf("killed"), await logOf("whole-again")];
    expect(losses(whole)).toHaveLength(72);
    expect(losses(resumed)).toEqual(losses(whole));
    const adapter = (output: string) => readFile(join(folder, output, "adapter_model.safetensors"));
    expect((await adapter("killed")).equals(await adapter("whole-again"))).toBe(true);
  }, 600_000); // a machine that has other work takes minutes

  test.runIf(process.platform !== "win32")(
    "with SIGINT says how far it came and how to go on, or why that was not kept",
    async () => {
      for (const fileBytes of [0, limit]) {
        const steps = async (): Promise<number> => losses(await logOf("interrupted")).length;
        const before = await steps();
        const child = start("interrupted", { fileBytes, stderr: "pipe" });
        const said = text(child.stderr!);
        const exit = once(child, "exit");
        while (child.exitCode === null && (await steps()) <= before) await new Promise((tick) => setTimeout(tick, 5));
        child.kill("SIGINT");
        expect((await exit)[0]).toBe(130);
        expect(await said).toMatch(
          fileBytes === 0
            ? /^oneword: interrupted: stopped after \d+ steps; --resume goes on from there\.\n$/
            : /^oneword: interrupted: .*interrupted: no room for checkpoint\.safetensors/,
        );
      }
    },
    120_000,
  );

  test.runIf(process.platform !== "win32")(
    "by a full disk keeps its checkpoint, says where, and goes on from it",
    async () => {
      const stop = new AbortController();
      const onStep = ({ step }: { step: number }): void => {
        if (step === 20) stop.abort();
      };
      const changes = { epochs: 12, warmupSteps: 5, evalEvery: 36 };
      await expect(train(options("full", changes), { signal: stop.signal, onStep })).rejects.toThrow(/after 20 steps/);
      const checkpoint = join(folder, "full", "checkpoint.safetensors");
      const before = await readFile(checkpoint);
      expect(before.length).toBeGreaterThan(limit);
      const child = start("full", { fileBytes: limit, stderr: "pipe" });
      const said = text(child.stderr!);
      expect((await once(child, "exit"))[0]).toBe(1);
      expect(await said).toMatch(
        /^oneword: .*full: no room for checkpoint\.safetensors.*what was there before is kept\. Free some space/,
      );
      expect((await readFile(checkpoint)).equals(before)).toBe(true);
      expect((await readdir(join(folder, "full"))).filter((name) => name.endsWith(".part"))).toEqual([]);
      await finish(start("full"));
      expect(losses(await logOf("full"))).toEqual(losses(await logOf("whole-again")));
    },
    120_000,
  );

  test("is not gone on with by other options", async () => {
    const recipe = () => readFile(join(folder, "whole-again", "recipe.json"), "utf8");
    const before = await recipe();
    for (const changes of [{ learningRate: 1e-3 }, { recipe: { layer: 1 } }] as const) {
      await expect(train(options("whole-again", { resume: true, ...changes }))).rejects.toMatchObject({
        code: "bad-option",
        message: expect.stringMatching(/belongs to a run with other/),
      });
      expect(await recipe()).toBe(before); // the adapter is still the one that was trained with it
    }
  });

  test("and an adapter are not written over by a run that does not go on with it", async () => {
    const adapter = () => readFile(join(folder, "whole-again", "adapter_model.safetensors"));
    const before = await adapter();
    await expect(train(options("whole-again"))).rejects.toMatchObject({
      code: "bad-option",
      message: expect.stringMatching(
        /whole-again: holds a run already, which would be overwritten\. Go on with it \(--resume\), or choose/,
      ),
    });
    expect((await adapter()).equals(before)).toBe(true);
    await mkdir(join(folder, "adapter alone"));
    await writeFile(join(folder, "adapter alone", "adapter_model.safetensors"), before);
    for (const resume of [false, true]) {
      await expect(train(options("adapter alone", { resume }))).rejects.toThrow(/holds an adapter already/);
    }
  });

  test("is the only one in its folder", async () => {
    await mkdir(join(folder, "locked"));
    await writeFile(join(folder, "locked", "run.pid"), String(process.ppid));
    await expect(train(options("locked"))).rejects.toMatchObject({ code: "locked" });
    const once = train(options("twice", { epochs: 1 }));
    await expect(Promise.all([once, train(options("twice", { epochs: 1 }))])).rejects.toMatchObject({ code: "locked" });
    await once.catch(() => {}); // whichever came first
  });

  test("a place where no lock can be written is told as such", async () => {
    await mkdir(join(folder, "no lock", "run.pid"), { recursive: true });
    const failed = train(options("no lock"));
    await expect(failed).rejects.toMatchObject({
      code: "bad-option",
      message: expect.stringMatching(/run\.pid: is a folder/),
    });
  });

  test("a rank over the model's width is refused", async () => {
    await expect(train(options("wide", { rank: 100_000_000 }))).rejects.toThrow(
      /rank is 100000000; more than the model's/,
    );
  });

  test("is gone on with where its defaults are spelt out", async () => {
    const changes = { epochs: 1, maxSteps: 3 };
    await train(options("spelt out", changes));
    const recipe = { template: "eol", layer: "last" } as const;
    await train(options("spelt out", { ...changes, resume: true, recipe }));
    expect(losses(await logOf("spelt out"))).toHaveLength(3);
  });

  test("what a killed process was writing is cleared away", async () => {
    const left = join(folder, "left", "checkpoint.safetensors.123e4567-e89b-12d3-a456-426614174000.part");
    await mkdir(join(folder, "left"));
    await Promise.all([left, join(folder, "left", "mine.part")].map((file) => writeFile(file, "half")));
    await train(options("left", { epochs: 1 }));
    expect((await readdir(join(folder, "left"))).filter((name) => name.endsWith(".part"))).toEqual(["mine.part"]);
  });

  test("sources to be left out that no row is of are an error", async () => {
    const wrong = train(options("misspelt", { excludedSources: ["evn"] }));
    await expect(wrong).rejects.toThrow(/excludedSources: no row is of "evn"/);
  });

  test("a file whose rows do not say their source is warned about where sources are left out", async () => {
    const data = join(folder, "no sources.tsv");
    const rows = (await readFile(join(folder, "triples.tsv"), "utf8")).trimEnd().split("\n");
    await writeFile(data, rows.map((row) => row.split("\t").slice(0, 3).join("\t")).join("\n"));
    const warnings: string[] = [];
    const misspelt = options("no sources", { data: [data], excludedSources: ["made"] });
    await expect(train(misspelt, { onWarning: (text) => warnings.push(text) })).rejects.toThrow(/no row is of "made"/);
    expect(warnings).toEqual([
      expect.stringMatching(/no sources\.tsv has no column "source": none of its rows is left/),
    ]);
  });

  test("a damaged checkpoint is an error that names it", async () => {
    await train(options("damaged", { epochs: 1 }));
    await writeFile(join(folder, "damaged", "checkpoint.safetensors"), "no safetensors");
    await expect(train(options("damaged", { epochs: 1, resume: true }))).rejects.toMatchObject({
      code: "corrupt-file",
      message: expect.stringMatching(/checkpoint\.safetensors/),
    });
  });
});
