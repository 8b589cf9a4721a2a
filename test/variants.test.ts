import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { poolWeights } from "../src/embed/pooling.ts";
import { buildInferenceGraph, type GraphOptions, graphNames } from "../src/models/build.ts";
import { openCheckpoint } from "../src/models/checkpoint.ts";
import { findArchitecture } from "../src/models/registry.ts";
import { Encoder } from "../src/runtime/encoder.ts";
import { TokenTree } from "../src/text/token-tree.ts";

/** Numbers of PyTorch for pooled and moved tokens; test/fixtures/variants/make.py. */
interface Expected {
  readonly ids: number[];
  readonly start: number;
  readonly end: number;
  readonly placeholder: number;
  readonly mean: number[];
  readonly weightedMean: number[];
  readonly meanOfLayer1: number[];
  readonly moved: number[];
  readonly notMoved: number[];
}

const fixtures = resolve(import.meta.dirname, "fixtures");
const { models } = JSON.parse(readFileSync(resolve(fixtures, "variants/expected.json"), "utf8")) as {
  models: Record<string, Expected>;
};
const tolerance = 1e-4;
const worst = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0);

async function openEncoder(name: string, options: GraphOptions): Promise<Encoder> {
  const folder = resolve(fixtures, "golden", name);
  const weights = { kind: "safetensors", file: resolve(folder, "model.safetensors") } as const;
  const { checkpoint, config } = await openCheckpoint(
    { name, source: "path", weights, identity: name, config: resolve(folder, "config.json") },
    { precision: "float32", cacheFolder: folder },
  );
  const architecture = findArchitecture(config, name);
  return Encoder.create(
    buildInferenceGraph(architecture, architecture.readConfig(config, name), checkpoint, "last", options),
  );
}

const other = [3, 5, 7];

describe.each(Object.entries(models))("tokens of %s", (name, expected) => {
  const { ids, start, end, placeholder } = expected;
  let pooling: Encoder;
  let moving: Encoder;
  beforeAll(async () => {
    pooling = await openEncoder(name, { poolsTokens: true, alsoRead: [1] });
    moving = await openEncoder(name, { moveTokens: { fromLayer: 1, toLayer: 2 } });
  });
  afterAll(() => Promise.all([pooling.close(), moving.close()]));

  test.each(["mean", "weightedMean"] as const)("are pooled by %s as in the reference, beside others", async (kind) => {
    const pool = { start, weights: poolWeights(kind, end - start) };
    const [, state] = await pooling.run(TokenTree.of([other, ids]), undefined, [{}, { pool }]);
    expect(worst(state!, expected[kind])).toBeLessThan(tolerance);
  });

  test("are pooled where others begin alike and share them", async () => {
    const pool = { start, weights: poolWeights("mean", end - start) };
    const tree = TokenTree.of([[...ids, 1, 2], ids]);
    expect(tree.ids.length).toBeLessThan(ids.length + 4);
    const [, state] = await pooling.run(tree, undefined, [{}, { pool }]);
    expect(worst(state!, expected.mean)).toBeLessThan(tolerance);
  });

  test("are pooled in an earlier layer too", async () => {
    const pool = { start, weights: poolWeights("mean", end - start) };
    const [row] = await pooling.read(TokenTree.of([ids]), [graphNames.state(1)], undefined, [{ pool }]);
    expect(worst(row![0]!, expected.meanOfLayer1)).toBeLessThan(tolerance);
  });

  test("are pooled after a run-once prefix", async () => {
    const prefix = await pooling.cachePrefix(ids.slice(0, 3));
    const pool = { start: start - 3, weights: poolWeights("mean", end - start) };
    const [state] = await pooling.run(TokenTree.of([ids.slice(3)]), prefix, [{ pool }]);
    expect(worst(state!, expected.mean)).toBeLessThan(tolerance);
  });

  test("without places are read at the last one", async () => {
    const [state] = await pooling.run(TokenTree.of([ids]));
    expect(worst(state!, expected.notMoved)).toBeLessThan(tolerance);
  });

  test("take the last one's state where a placeholder stands, as in the reference", async () => {
    const [, state] = await moving.run(TokenTree.of([other, ids]), undefined, [{}, { placeholder }]);
    expect(worst(state!, expected.moved)).toBeLessThan(tolerance);
    expect(worst(state!, expected.notMoved)).toBeGreaterThan(10 * tolerance);
  });

  test("take it where others share what stands before the placeholder", async () => {
    const tree = new TokenTree();
    for (const sequence of [[...ids, 1], ids]) tree.add({ ids: sequence, shareable: placeholder });
    const [, state] = await moving.run(tree, undefined, [{ placeholder }, { placeholder }]);
    expect(worst(state!, expected.moved)).toBeLessThan(tolerance);
  });

  test("take it after a prefix that ends before the placeholder", async () => {
    const prefix = await moving.cachePrefix(ids.slice(0, placeholder));
    const [state] = await moving.run(TokenTree.of([ids.slice(placeholder)]), prefix, [{ placeholder: 0 }]);
    expect(worst(state!, expected.moved)).toBeLessThan(tolerance);
  });
});

test("weights of a mean sum to 1, and grow with the position where they are weighted", () => {
  expect(poolWeights("mean", 4)).toEqual([0.25, 0.25, 0.25, 0.25]);
  expect(poolWeights("weightedMean", 4)).toEqual([0.1, 0.2, 0.3, 0.4]);
});
