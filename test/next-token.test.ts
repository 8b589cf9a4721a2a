import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { topTokens } from "../src/embed/top-words.ts";
import { readSafetensors } from "../src/files/safetensors.ts";
import { buildNextTokenGraph } from "../src/models/build-next-token.ts";
import { openCheckpoint } from "../src/models/checkpoint.ts";
import { findArchitecture } from "../src/models/registry.ts";
import { nextTokenScores } from "../src/runtime/next-token.ts";

async function openGolden(name: string) {
  const folder = resolve(import.meta.dirname, "fixtures/golden", name);
  const weights = { kind: "safetensors", file: resolve(folder, "model.safetensors") } as const;
  const { checkpoint, config: json } = await openCheckpoint(
    { name, source: "path", weights, identity: name, config: resolve(folder, "config.json") },
    { precision: "float32", cacheFolder: folder },
  );
  const architecture = findArchitecture(json, name);
  const config = architecture.readConfig(json, name);
  const { cases } = JSON.parse(readFileSync(resolve(folder, "expected.json"), "utf8"));
  return { file: weights.file, architecture, config, checkpoint, state: Float32Array.from(cases[1].lastToken) };
}

test.each(["opt", "opt-post-norm"])(
  "%s: a token's score is the product of its embedding and the state",
  async (name) => {
    const { file, architecture, config, checkpoint, state } = await openGolden(name);
    const graph = buildNextTokenGraph(architecture, config, checkpoint, state.length);
    const [scores] = await nextTokenScores(graph, [state]);
    const table = [...(await readSafetensors(file)).values()].find(({ name: tensor }) =>
      tensor.endsWith("embed_tokens.weight"),
    )!;
    const bytes = readFileSync(file).subarray(table.offset, table.offset + table.length);
    expect(scores).toHaveLength(config.vocabSize);
    for (const token of [0, 1, config.vocabSize - 1]) {
      const row = state.map((_, i) => bytes.readFloatLE(4 * (token * state.length + i)));
      expect(scores![token]).toBeCloseTo(
        row.reduce((sum, value, i) => sum + value * state[i]!, 0),
        4,
      );
    }
  },
);

test("a checkpoint whose output weights are neither tied nor there is refused by their name", async () => {
  const { architecture, config, checkpoint, state } = await openGolden("llama-gqa-rope3");
  expect(() => buildNextTokenGraph(architecture, config, checkpoint, state.length)).toThrow(
    /lm_head\.weight" is missing/,
  );
});

test("the most probable tokens come first, with their share of all", () => {
  const scores = Float32Array.of(0, Math.log(6), Math.log(2), Math.log(1));
  const top = topTokens(scores, 2); // e^scores: 1, 6, 2, 1
  expect(top.map(({ id }) => id)).toEqual([1, 2]);
  expect(top[0]!.probability).toBeCloseTo(0.6, 6);
  expect(top[1]!.probability).toBeCloseTo(0.2, 6);
});
