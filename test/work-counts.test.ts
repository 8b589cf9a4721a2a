import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import protobuf from "protobufjs/minimal.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { measureActivations } from "../src/embed/calibration.ts";
import type { EmbeddingModel } from "../src/embed/embedding-model.ts";
import { load, openTokenizer } from "../src/embed/load.ts";
import { resolveModel } from "../src/files/resolve-model.ts";
import { writeOnnx } from "../src/graph/onnx.ts";
import { peakBytes } from "../src/graph/peak-memory.ts";
import { buildInferenceGraph } from "../src/models/build.ts";
import { type OpenedCheckpoint, openCheckpoint } from "../src/models/checkpoint.ts";
import { findArchitecture } from "../src/models/registry.ts";
import type { Precision } from "../src/text/recipe.ts";
import { buildTrainingGraph } from "../src/train/training-graph.ts";
import { writeTinyModel } from "./tiny-model.ts";

/** Counts that stay the same from machine to machine: more of them is slower everywhere. A limit is today's count. */
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-counts-"));
  await writeTinyModel(folder);
});
afterAll(() => rm(folder, { recursive: true }));

async function openTiny(precision: Precision) {
  const files = await resolveModel(folder, { offline: true });
  const measure = async (opened: OpenedCheckpoint) => measureActivations(opened, await openTokenizer(files, opened));
  const cache = join(folder, "cache");
  const { checkpoint, ...opened } = await openCheckpoint(files, { precision, cacheFolder: cache, measure });
  const architecture = findArchitecture(opened.config, opened.configSource);
  return { architecture, config: architecture.readConfig(opened.config, opened.configSource), checkpoint };
}

async function graphOf(precision: Precision, layer: number) {
  const { architecture, config, checkpoint } = await openTiny(precision);
  return buildInferenceGraph(architecture, config, checkpoint, layer).graph;
}

/** Names in GraphProto.value_info, which is field 13 of ModelProto's field 7. */
function valueInfos(model: Uint8Array): string[] {
  const [graph] = fieldsOf(model, 7);
  return fieldsOf(graph!, 13).map((info) => Buffer.from(fieldsOf(info, 1)[0]!).toString());
}

/** All fields `id` of a message that hold bytes. */
function fieldsOf(message: Uint8Array, id: number): Uint8Array[] {
  const reader = protobuf.Reader.create(message);
  const fields: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const key = reader.uint32();
    if (key === ((id << 3) | 2)) fields.push(reader.bytes());
    else reader.skipType(key & 7);
  }
  return fields;
}

test.each<[Precision, number]>([
  ["float32", 73],
  ["int8", 120],
])("a layer of the graph in %s is at most %i nodes", async (precision, most) => {
  const [two, three] = [await graphOf(precision, 2), await graphOf(precision, 3)];
  expect(three.nodes.length - two.nodes.length).toBeLessThanOrEqual(most);
});

test("the graph itself is small: weights stay in their file", async () => {
  expect(writeOnnx(await graphOf("float32", 2)).length).toBeLessThanOrEqual(24_000);
});

test("the runtime is told the shape of every value between, which it would look for in quadratic time", async () => {
  const graph = await graphOf("float32", 2);
  const told = new Set(valueInfos(writeOnnx(graph)));
  const between = graph.nodes.flatMap(({ outputs }) => outputs).filter((value) => !graph.outputs.includes(value));
  expect(between.filter(({ name }) => !told.has(name))).toEqual([]);
  expect(told.size).toBe(between.length);
});

test("a layer of the training graph holds at most 2,730 bytes of a token", async () => {
  const model = await openTiny("float32");
  const adapter = { rank: 4, alpha: 16, targets: "all-linear", dropout: 0.05 } as const;
  const tokens = 10_000;
  const sizes = {
    tokens,
    repeats: 0,
    batch: tokens / 20,
    rows: tokens / 20,
    queries: 20,
    slots: 1,
    length: 20,
    pairs: 100,
    candidates: 400,
  };
  const [two, three] = [2, 3].map((layer) => {
    const { graph } = buildTrainingGraph({ ...model, ...adapter, layer }, "loss", 0.05);
    return peakBytes(graph, sizes) / tokens;
  });
  expect(three! - two!).toBeLessThanOrEqual(2730);
});

test("of a sentence only the tokens after the shared beginning are run, and equal ones once", async () => {
  const model = await load(folder, { cacheDir: join(folder, "cache"), offline: true });
  const count = async (texts: string[]): Promise<Partial<EmbeddingModel["statistics"]>> => {
    const before = model.statistics;
    await model.embed(texts);
    const { runs, sequences, tokens, cells } = model.statistics;
    return {
      runs: runs - before.runs,
      sequences: sequences - before.sequences,
      tokens: tokens - before.tokens,
      cells: cells - before.cells,
    };
  };
  const texts = Array.from({ length: 300 }, (_, i) => `A sentence ${"of some words ".repeat(i % 7)}ends here.`);
  await model.embed(["first", "second"]); // runs the beginning
  const distinct = await count(texts);
  expect(distinct).toMatchObject({ runs: 1, sequences: 7 });
  let whole = 0;
  for await (const { tokens } of model.embedStream(texts.slice(0, 7))) whole += tokens;
  expect(distinct.tokens).toBeLessThan(whole);
  expect(await count(texts.map((text, i) => `${text} ${i}`))).toMatchObject({ runs: 8, sequences: 300 });
  const { tokens, cells } = await count(texts.map((text, i) => `${i} ${text}`));
  expect(1 - tokens! / cells!).toBeLessThan(0.05); // padding in attention
  await model.close();
});
