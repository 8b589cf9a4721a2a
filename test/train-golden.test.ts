import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { readFloats } from "../src/files/float-tensors.ts";
import { readSafetensors } from "../src/files/safetensors.ts";
import { readAdapter } from "../src/models/adapter-file.ts";
import { openCheckpoint } from "../src/models/checkpoint.ts";
import { loraNames } from "../src/models/lora.ts";
import { findArchitecture } from "../src/models/registry.ts";
import {
  type BatchGradients,
  CachedGradients,
  DirectGradients,
  type TrainingBatch,
} from "../src/train/batch-gradients.ts";
import { AdamW, clipByGlobalNorm } from "../src/train/optimizer.ts";
import { FlatTensors } from "../src/train/parameters.ts";
import { linearSchedule } from "../src/train/schedule.ts";
import type { AdaptedModel } from "../src/train/training-graph.ts";
import { onDevice } from "./device.ts";

/** Contrastive LoRA training by PEFT on PyTorch, float32: the folder's expected.json. */
interface Expected {
  readonly temperature: number;
  readonly maxGradNorm: number;
  /** [steps][batch][anchor, positive, hard negative] */
  readonly tripleIds: number[][][][];
  readonly log: { readonly loss: number; readonly gradNorm: number; readonly learningRate: number }[];
}

const bundled = resolve(import.meta.dirname, "fixtures/golden");
const shared = resolve(process.env.ONEWORD_GOLDEN ?? resolve(import.meta.dirname, "../../shared/golden"));

async function openGolden(root: string, name: string) {
  const folder = resolve(root, `train-${name}`);
  const base = resolve(root, name);
  const weights = { kind: "safetensors", file: resolve(base, "model.safetensors") } as const;
  const opened = await openCheckpoint(
    { name, source: "path", weights, config: resolve(base, "config.json"), identity: "golden" },
    { precision: "float32", cacheFolder: folder },
  );
  const architecture = findArchitecture(opened.config, base);
  const before = await readAdapter(resolve(folder, "adapter-before"));
  const model: AdaptedModel = {
    architecture,
    config: architecture.readConfig(opened.config, base),
    checkpoint: opened.checkpoint,
    layer: "last",
    rank: before.config.rank,
    alpha: before.config.alpha,
    targets: before.config.targets,
    dropout: 0,
  };
  const expected = JSON.parse(readFileSync(resolve(folder, "expected.json"), "utf8")) as Expected;
  return { folder, model, before, expected };
}

type Golden = Awaited<ReturnType<typeof openGolden>>;

function parametersOf({ before }: Golden, engine: BatchGradients): FlatTensors {
  const parameters = new FlatTensors(engine.tensors);
  for (const [scope, { a, b }] of before.pairs) {
    parameters.view(loraNames(scope).a).set(a.values);
    parameters.view(loraNames(scope).b).set(b.values);
  }
  return parameters;
}

const batchOf = (triples: number[][][], prefixTokens = 0): TrainingBatch => ({
  prefixTokens,
  anchors: triples.map((triple) => triple[0]!),
  positives: triples.map((triple) => triple[1]!),
  hardNegatives: triples.map((triple) => triple[2]!),
});

/** ‖a − b‖ / ‖b‖. */
function relative(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [error, size] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    error += (a[i]! - b[i]!) ** 2;
    size += b[i]! ** 2;
  }
  return Math.sqrt(error / size);
}

const engines = {
  "the whole batch in one run": ({ model, expected }: Golden) =>
    DirectGradients.create(model, expected.temperature, onDevice),
  "gradient caching in parts of 40 tokens": ({ model, expected }: Golden) =>
    CachedGradients.create(model, expected.temperature, onDevice, 40),
};

function describeTraining(root: string, name: string): void {
  describe.each(Object.entries(engines))("%s", (_title, createEngine) => {
    test("the first step's gradients equal the reference (relative 1e-4 in every tensor)", async () => {
      const golden = await openGolden(root, name);
      const engine = await createEngine(golden);
      const batch = batchOf(golden.expected.tripleIds[0]!);
      const { gradients } = await engine.compute(batch, parametersOf(golden, engine));
      const reference = await readSafetensors(resolve(golden.folder, "gradients-step0-unclipped.safetensors"));
      expect(new Set(reference.keys())).toEqual(new Set(engine.tensors.map((tensor) => tensor.name)));
      for (const [i, { name: tensor }] of engine.tensors.entries()) {
        expect(relative(gradients[i]!, await readFloats(reference.get(tensor)!)), tensor).toBeLessThan(1e-4);
      }
      await engine.close();
    });

    test("losses, norms and the final adapter equal the reference (relative 1e-3)", async () => {
      const golden = await openGolden(root, name);
      const { expected, folder } = golden;
      const engine = await createEngine(golden);
      const parameters = parametersOf(golden, engine);
      const optimizer = new AdamW(parameters.values.length);
      for (const [step, triples] of expected.tripleIds.entries()) {
        const { loss, gradients } = await engine.compute(batchOf(triples), parameters);
        const norm = clipByGlobalNorm(gradients, expected.maxGradNorm);
        const rate = linearSchedule(step, { learningRate: 5e-4, warmupSteps: 2, totalSteps: 6 });
        const { loss: lossThere, gradNorm, learningRate } = expected.log[step]!;
        expect(relative([loss], [lossThere]), `loss of step ${step}`).toBeLessThan(1e-3);
        expect(relative([norm], [gradNorm]), `norm of step ${step}`).toBeLessThan(1e-3);
        expect(rate).toBeCloseTo(learningRate, 12);
        optimizer.update(parameters.values, gradients, rate);
      }
      const after = await readAdapter(resolve(folder, "adapter-after"));
      for (const [scope, { a, b }] of after.pairs) {
        expect(relative(parameters.view(loraNames(scope).a), a.values), scope).toBeLessThan(1e-3);
        expect(relative(parameters.view(loraNames(scope).b), b.values), scope).toBeLessThan(1e-3);
      }
      await engine.close();
    });
  });
}

describe.each(["llama", "opt"])("training %s", (name) => {
  describe("bundled golden", () => describeTraining(bundled, name));
  if (existsSync(resolve(shared, `train-${name}`))) describe("golden", () => describeTraining(shared, name));
  else test.skip(`shared golden: ${shared} has no train-${name}; set ONEWORD_GOLDEN`, () => {});

  test("tokens that every sequence begins with give the same gradients when they run once", async () => {
    const golden = await openGolden(bundled, name);
    const { model, expected } = golden;
    const prefix = [7, 301, 44];
    const triples = expected.tripleIds[1]!;
    const long = triples.map((triple) => triple.map((ids) => [...prefix, ...ids]));
    const engine = () => DirectGradients.create({ ...model, dropout: tokensApart }, expected.temperature, onDevice);
    const once = batchOf(long, prefix.length);
    await expectEqualGradients(golden, [await engine(), batchOf(long)], [await engine(), once]);
  });

  test.each(Object.keys(engines))("beginnings that several share do too: %s", async (engine) => {
    const golden = await openGolden(bundled, name);
    const { expected } = golden;
    const [first, ...others] = expected.tripleIds[1]!;
    const [anchor, , negative] = first!;
    const [longer, forked] = [
      [...anchor!, 9, 12],
      [...anchor!.slice(0, 3), 5],
    ];
    const batch = batchOf([[anchor!, longer, anchor!], [forked, [...longer, 3], negative!], ...others]);
    await expectEqualGradients(
      golden,
      [await DirectGradients.create({ ...golden.model, dropout: tokensApart }, expected.temperature, onDevice), batch],
      [await engines[engine as keyof typeof engines](golden), batch],
    );
  });
});

/** A dropout that drops nothing, under which no token but those of the prefix stands for two sequences. */
const tokensApart = 1e-12;

async function expectEqualGradients(
  golden: Golden,
  ...sides: readonly [[BatchGradients, TrainingBatch], [BatchGradients, TrainingBatch]]
): Promise<void> {
  const results = [];
  for (const [engine, batch] of sides) {
    const { loss, gradients } = await engine.compute(batch, parametersOf(golden, engine));
    results.push({ loss, gradients });
    await engine.close();
  }
  const [expected, actual] = results;
  expect(actual!.loss).toBeCloseTo(expected!.loss, 4);
  for (const [i, { name }] of sides[0][0].tensors.entries()) {
    expect(relative(actual!.gradients[i]!, expected!.gradients[i]!), name).toBeLessThan(1e-4);
  }
}
