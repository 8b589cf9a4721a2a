import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { load } from "../src/embed/load.ts";
import type { Graph, Value } from "../src/graph/graph.ts";
import { evaluateDim } from "../src/graph/shape.ts";
import { Session } from "../src/runtime/session.ts";
import type { RecipeOptions } from "../src/text/recipe.ts";
import { type BatchGradients, CachedGradients, DirectGradients } from "../src/train/batch-gradients.ts";
import { trainDefaults } from "../src/train/options.ts";
import { initialParameters } from "../src/train/parameters.ts";
import { openTrainingModel } from "../src/train/training-model.ts";
import { writeTinyModel } from "./tiny-model.ts";

/**
 * Every value of every graph is read, and has the shape that the graph says: the runtime gives values whose shapes read alike
 * the same memory.
 */
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "oneword-shapes-"));
});
afterAll(() => rm(folder, { recursive: true }));

let checkedValues: number;
beforeEach(() => {
  checkedValues = 0;
  const create = Session.create.bind(Session);
  vi.spyOn(Session, "create").mockImplementation(async (graph, options) => {
    const values = graph.nodes.flatMap(({ outputs }) => outputs);
    for (const value of values) graph.output(value, seen(value));
    const session = await create(graph, options);
    const run = session.run.bind(session);
    session.run = async (feeds, outputs) => {
      const results = await run(feeds, [...outputs, ...values.map(seen)]);
      const dimsOf = (value: Value): readonly number[] => (feeds[value.name] ?? results[seen(value)])!.dims;
      expect(differing([...graph.inputs, ...values], dimsOf)).toEqual([]);
      checkedValues += values.length;
      return Object.fromEntries(outputs.map((name) => [name, results[name]!]));
    };
    return session;
  });
});
afterEach(() => vi.restoreAllMocks());

const seen = ({ name }: Value): string => `seen.${name}`;

/** Values whose sizes differ from their shapes, by what those say of each other. */
function differing(values: Graph["inputs"], dimsOf: (value: Value) => readonly number[]): string[] {
  const sizes = new Map<string, number>();
  for (const value of values) {
    for (const [i, dim] of value.shape.entries()) {
      if (typeof dim === "string" && !/[*+]/.test(dim) && !sizes.has(dim)) sizes.set(dim, dimsOf(value)[i]!);
    }
  }
  const sizeOf = (dim: string): number =>
    evaluateDim(
      dim,
      (term) => (/^\d+$/.test(term) ? Number(term) : sizes.get(term)!),
      (a, b) => a + b,
      (a, b) => a * b,
    );
  return values.flatMap((value) => {
    const said = value.shape.map((dim) => (typeof dim === "number" ? dim : sizeOf(dim)));
    const dims = dimsOf(value);
    return said.join() === dims.join() ? [] : [`${value.name} [${value.shape}] is [${dims}], not [${said}]`];
  });
}

const texts = [
  "A jockey riding a horse.",
  "A jockey riding a horse in the rain",
  "A man is playing a flute.",
  "A man is playing",
  "x",
  "",
  "Zoos",
];

test.each<[string, string, RecipeOptions]>([
  ["float32", "llama", {}],
  ["float32", "llama", { demonstrations: [{ sentence: "A dog runs.", word: "Dog" }] }],
  ["float32", "llama", { pooling: "mean", layer: 2 }],
  [
    "float32",
    "llama",
    {
      template: 'This {placeholder} sentence : "{text}" means in one word:"',
      tokenPrepending: { fromLayer: 1, toLayer: 2 },
    },
  ],
  ["float16", "llama", {}],
  ["int8", "llama", {}],
  ["int4", "llama", {}],
  ["nf4", "llama", {}],
  ["float32", "opt", {}],
])("%s vectors on %s with %o", async (precision, architecture, recipe) => {
  await writeTinyModel(folder, { architecture, tokenizer: architecture });
  const options = { precision: precision as "int8", recipe, cacheDir: join(folder, architecture), offline: true };
  await using model = await load(folder, options);
  await model.embed(texts);
  await model.embed(texts.slice(0, 1));
  expect(checkedValues).toBeGreaterThan(100);
});

test.each([
  ["the batch in one run", { microBatchTokens: "batch", dropout: 0 }],
  ["parts of the batch", { microBatchTokens: 60 }],
  ["nf4 weights", { microBatchTokens: 60, precision: "nf4" }],
] as const)("a step of training with %s", async (_, changes) => {
  await writeTinyModel(folder);
  const options = {
    ...trainDefaults,
    model: folder,
    data: [],
    output: "",
    rank: 4,
    recipe: { layer: 1 },
    cacheDir: folder,
    ...changes,
  };
  const { adapted, prompts, session } = await openTrainingModel(options);
  const { microBatchTokens, temperature } = options;
  const engine: BatchGradients =
    microBatchTokens === "batch"
      ? await DirectGradients.create(adapted, temperature, session)
      : await CachedGradients.create(adapted, temperature, session, microBatchTokens);
  const [anchors, positives, hardNegatives] = [0, 1, 2].map((column) =>
    ["A dog runs", "A man is", "x"].map((start) => prompts.encode(`${start} ${texts[column]}`)),
  ) as [number[][], number[][], number[][]];
  const batch = { prefixTokens: prompts.prefix.length, anchors, positives, hardNegatives };
  await engine.compute(batch, initialParameters(engine.tensors, 42));
  await engine.close();
  expect(checkedValues).toBeGreaterThan(300);
});
