import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import type { RunStatistics } from "../../src/embed/embedding-model.ts";
import { load } from "../../src/embed/load.ts";
import { type EmbeddingState, embedTexts } from "../../src/evaluate/embed-texts.ts";
import { evaluate, readSets, textsOf } from "../../src/evaluate/evaluate.ts";
import { averagePercent, percent } from "../../src/evaluate/sts.ts";
import { type TransferMode, transferModes } from "../../src/evaluate/transfer.ts";
import { evaluateTransfer } from "../../src/evaluate/transfer-result.ts";
import { modelSource } from "../../src/evaluate/vector-source.ts";
import reference from "../fixtures/classifier/real.json" with { type: "json" };

/** Evaluation sets that are no part of the package. */
const data = resolve(import.meta.dirname, "../../../shared/data");
const hasData = existsSync(resolve(data, "transfer/CR"));

/** A line on standard error for every tenth of the characters. */
function progressOf(what: string): (progress: EmbeddingState) => void {
  let told = 0;
  return ({ doneTexts, totalTexts, doneCharacters, totalCharacters }) => {
    const tenth = Math.floor((10 * doneCharacters) / totalCharacters);
    if (tenth <= told) return;
    told = tenth;
    process.stderr.write(`${what}: ${doneTexts}/${totalTexts} texts\n`);
  };
}

describe("STS-B dev in float32", () => {
  // transformers 5.23.0 on PyTorch 2.15.0, float32: Spearman × 100 over the 1,500 pairs of data/stsb-dev.tsv
  test.each([
    ["the plain template", [], 67.04],
    ["one demonstration", [{ sentence: "A jockey riding a horse.", word: "Equestrian" }], 73.27],
  ])("%s: Spearman equals the reference's (0.05)", async (title, demonstrations, spearman) => {
    const model = await load("smollm2-135m", { precision: "float32", recipe: { demonstrations } });
    const onEmbed = progressOf(`STS-B dev, ${title}`);
    const run = await evaluate(modelSource(model), await readSets(["stsb-dev"], data), { onEmbed });
    await model.close();
    expect(Math.abs(percent(run.sts[0]!.all.spearman) - spearman)).toBeLessThanOrEqual(0.05);
  });
});

test("an evaluation runs what the library runs for its distinct texts: as many tokens, at most 1.1 times the cells", async () => {
  const model = await load("smollm2-135m", { precision: "int8" });
  const sets = await readSets(["stsb-dev"], data);
  const texts = [...new Set(textsOf(sets))];
  await model.embed(texts.slice(0, 64)); // runs the shared beginning
  const work = async (run: () => Promise<unknown>): Promise<RunStatistics> => {
    const before = model.statistics;
    await run();
    const { sequences, tokens, cells } = model.statistics;
    return {
      ...model.statistics,
      sequences: sequences - before.sequences,
      tokens: tokens - before.tokens,
      cells: cells - before.cells,
    };
  };
  const library = await work(() => model.embed(texts));
  const evaluation = await work(() => evaluate(modelSource(model), sets));
  await model.close();
  expect(evaluation).toMatchObject({ sequences: texts.length, tokens: library.tokens });
  expect(evaluation.cells).toBeLessThanOrEqual(1.1 * library.cells);
});

describe.skipIf(!hasData)("classifiers of CR", () => {
  test("are as accurate as scikit-learn's on the same vectors, folds and penalties: 0.7 points, 1.5 in fast mode", async () => {
    const model = await load("smollm2-135m");
    const sets = await readSets(["cr"], data);
    const { vectors } = await embedTexts(modelSource(model), textsOf(sets), { onProgress: progressOf("CR") });
    await model.close();
    const off = async (mode: TransferMode): Promise<number> => {
      const { accuracy } = await evaluateTransfer(sets.transfer[0]!, (text) => vectors.get(text)!, mode);
      return Math.abs(accuracy - averagePercent(reference.accuracies));
    };
    expect(await off({ ...transferModes.full, foldCount: reference.foldCount })).toBeLessThan(0.7);
    expect(await off(transferModes.fast)).toBeLessThan(1.5);
  });

  test("take less time in fast mode than int8 took to embed their texts", async () => {
    const model = await load("smollm2-135m", { precision: "int8" });
    const sets = await readSets(["cr"], data);
    const onProgress = progressOf("CR in int8");
    const { vectors, embedSeconds } = await embedTexts(modelSource(model), textsOf(sets), { onProgress });
    await model.close();
    const { seconds } = await evaluateTransfer(sets.transfer[0]!, (text) => vectors.get(text)!, transferModes.fast);
    expect(seconds).toBeLessThan(embedSeconds);
  });
});

test("the examples of eval --help and compare --help run as written", () => {
  const main = resolve(import.meta.dirname, "../../dist/cli/main.js");
  const folder = mkdtempSync(join(tmpdir(), "oneword-real-eval-"));
  const run = (command: string): string =>
    execFileSync("bash", ["-c", `oneword() { "${process.execPath}" "${main}" "$@"; }; cd "${folder}"; ${command}`], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  const examples = [...run("oneword eval --help").matchAll(/^ {2}\$ (.*)$/gm)].map(([, example]) => example!);
  const [first, second] = examples.map(run);
  expect(first).toMatch(/^ +STS-B dev\nsmollm2-135m-nli, .* 84\.\d\d\n$/);
  expect(second).toMatch(/^STS-B dev +[+−]\d+\.\d\d +\[.*\]/m);
  expect(run("oneword compare plain.json plain.json")).toMatch(/STS-B dev +\+0\.00/);
  expect(readdirSync(folder)).toEqual(["plain.json", "report.html"]);
  rmSync(folder, { recursive: true });
});

if (!hasData) process.stderr.write(`skipped: CR against scikit-learn, for there is no ${data}/transfer/CR\n`);
