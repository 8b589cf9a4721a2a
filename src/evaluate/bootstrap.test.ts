import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkComparable, compareRuns } from "./bootstrap.ts";
import type { EvaluationRun, EvaluationSets } from "./evaluate.ts";
import { RandomState } from "./random-state.ts";
import { readRun, type SavedRun, savedRun } from "./saved-run.ts";
import { scoreSts } from "./sts.ts";

const pairs = 400;

/** A run over 400 pairs whose cosine follows the score up to some noise. */
function noisyRun(noise: number, seed: number, count = pairs): SavedRun {
  const random = new RandomState(seed);
  const set = {
    task: "stsb" as const,
    subsets: [
      {
        name: "test",
        pairs: Array.from({ length: count }, (_, i) => {
          const angle = 1.2 * (1 - i / count) + noise * (random.uniform() - 0.5);
          return { sentence1: "0", sentence2: String(angle), score: (5 * i) / count };
        }),
      },
    ],
  };
  const vectorOf = (text: string) => Float32Array.of(Math.cos(Number(text)), Math.sin(Number(text)));
  const run = savedRun(emptyRun({ sts: [scoreSts(set, vectorOf)] }), "0", new Date(0));
  return { ...run, sts: run.sts.map((one) => ({ ...one, texts: "the same" })) }; // but that they hold their angles
}

function emptyRun(part: Partial<EvaluationRun>): EvaluationRun {
  const counts = { distinctTexts: 0, cachedTexts: 0, truncatedTexts: 0, embedSeconds: 0 };
  return { name: "run", recipe: null, mode: "full", sts: [], transfer: [], mteb: [], ...counts, ...part };
}

function transferRun(isCorrect: boolean[]): SavedRun {
  const accuracy = (100 * isCorrect.filter(Boolean).length) / isCorrect.length;
  const result = { task: "trec" as const, examples: isCorrect.length, accuracy, isCorrect, seconds: 0 };
  return savedRun(emptyRun({ transfer: [result] }), "0", new Date(0));
}

test("a run that is clearly better has an interval above 0, the other way round below", () => {
  const [worse, better] = [noisyRun(3, 1), noisyRun(1, 2)];
  const [up] = compareRuns(worse, better);
  expect(up!.low).toBeGreaterThan(0);
  expect([up!.low < up!.difference, up!.difference < up!.high]).toEqual([true, true]);
  const [down] = compareRuns(better, worse);
  expect([down!.difference, down!.low, down!.high]).toEqual(
    [-up!.difference, -up!.high, -up!.low].map((value) => expect.closeTo(value, 6)),
  );
});

test("two runs of the same quality have an interval around 0", () => {
  const [difference] = compareRuns(noisyRun(1, 3), noisyRun(1, 4));
  expect(difference!.low).toBeLessThan(0);
  expect(difference!.high).toBeGreaterThan(0);
});

test("the interval of an accuracy is that of the binomial", () => {
  // 300 of 400 right against none: standard error √(0.75 · 0.25 / 400) = 2.17 points, hence 75 ± 4.24
  const [difference] = compareRuns(
    transferRun(Array(400).fill(false)),
    transferRun(Array.from({ length: 400 }, (_, i) => i < 300)),
  );
  expect(difference!.difference).toBe(75);
  expect(Math.abs(difference!.low - 70.76)).toBeLessThan(0.8);
  expect(Math.abs(difference!.high - 79.24)).toBeLessThan(0.8);
});

test("runs over other pairs, or of other tasks, are refused", () => {
  expect(() => compareRuns(noisyRun(1, 1), noisyRun(1, 1, 399))).toThrow(/STS-B: the runs were measured on different/);
  expect(() => compareRuns(noisyRun(1, 1), transferRun([true]))).toThrow(/no task in common/);
});

test("before a run is made, sets that an earlier one was not measured on are refused", () => {
  const earlier = noisyRun(1, 1, 3);
  const set = (scores: readonly number[]) => ({
    task: "stsb" as const,
    subsets: [{ name: "test", pairs: scores.map((score) => ({ sentence1: "a", sentence2: "b", score })) }],
  });
  const older = { ...earlier, sts: earlier.sts.map(({ texts: _, ...one }) => one) }; // saved before there was a hash
  const own = earlier.sts[0]!.subsets[0]!.scores;
  checkComparable(older, { sts: [set(own)], transfer: [] }, "full");
  const check =
    (run: SavedRun, sets: EvaluationSets, mode: "full" | "fast" = "full") =>
    () =>
      checkComparable(run, sets, mode);
  expect(check(older, { sts: [set([...own].reverse())], transfer: [] })).toThrow(/different pairs/);
  expect(check(earlier, { sts: [set(own)], transfer: [] })).toThrow(/different pairs/); // other sentences
  expect(check(earlier, { sts: [], transfer: [] })).toThrow(/has none of the tasks/);
  const trec = { task: "trec" as const, train: [], test: [] } as unknown as EvaluationSets["transfer"][number];
  expect(check(transferRun([true]), { sts: [], transfer: [trec] }, "fast")).toThrow(/in the modes full and fast/);
});

test("a set without a correlation, since all vectors are alike, is not compared", () => {
  const set = {
    task: "stsb" as const,
    subsets: [{ name: "test", pairs: [1, 2, 3].map((score) => ({ sentence1: "0", sentence2: "0", score })) }],
  };
  const alike = savedRun(emptyRun({ sts: [scoreSts(set, () => Float32Array.of(1, 1))] }), "0", new Date(0));
  expect(() => compareRuns(alike, JSON.parse(JSON.stringify(alike)))).toThrow(
    /no task in common that both have a number for/,
  );
});

test("runs over other sentences, or of other modes, are refused", () => {
  const run = noisyRun(1, 1);
  const { sts } = run;
  expect(() => compareRuns(run, { ...run, sts: [{ ...sts[0]!, texts: "others" }] })).toThrow(/different pairs/);
  const { texts: _, ...older } = sts[0]!;
  expect(compareRuns(run, { ...run, sts: [older] })).toHaveLength(1); // saved before there was a hash
  const full = transferRun([true, false]);
  expect(() => compareRuns(full, { ...full, transferMode: "fast" })).toThrow(/in the modes full and fast/);
});

test("a saved run is read back, and one of which parts are missing is told as such", async () => {
  const folder = await mkdtemp(join(tmpdir(), "oneword-run-"));
  const file = join(folder, "run.json");
  const whole = { ...noisyRun(1, 1, 5), transfer: transferRun([true]).transfer };
  await writeFile(file, JSON.stringify(whole));
  expect(await readRun(file)).toEqual(JSON.parse(JSON.stringify(whole)));
  const [set] = whole.sts;
  for (const damaged of [
    { ...whole, name: undefined },
    { ...whole, sts: [{ task: "stsb" }] },
    { ...whole, sts: [{ ...set, subsets: [{ name: "test", scores: [1, 2], cosines: [1] }] }] },
    { ...whole, transfer: [{ task: "trec", accuracy: 50 }] },
  ]) {
    await writeFile(file, JSON.stringify(damaged));
    await expect(readRun(file)).rejects.toThrow(
      /run\.json: a run of which parts are missing\. Write one with "oneword eval/,
    );
  }
  await rm(folder, { recursive: true });
});
