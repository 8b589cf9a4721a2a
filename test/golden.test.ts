import { existsSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { readSafetensors } from "../src/files/safetensors.ts";
import { buildInferenceGraph } from "../src/models/build.ts";
import { openCheckpoint } from "../src/models/checkpoint.ts";
import type { DecoderConfig } from "../src/models/config.ts";
import { architectures, findArchitecture } from "../src/models/registry.ts";
import { Encoder } from "../src/runtime/encoder.ts";
import { TokenTree } from "../src/text/token-tree.ts";
import { onDevice } from "./device.ts";

/** hidden_states of transformers on PyTorch in float32, one sequence at a time: the folder's expected.json. */
interface GoldenCase {
  readonly ids: number[];
  readonly lastToken: number[];
  readonly allLayersLastToken: number[][];
}

const bundled = resolve(import.meta.dirname, "fixtures/golden");
const shared = resolve(process.env.ONEWORD_GOLDEN ?? resolve(import.meta.dirname, "../../shared/golden"));
const tolerance = 1e-4;

function goldenFolders(root: string): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .map((name) => resolve(root, name))
    .filter((folder) => existsSync(resolve(folder, "expected.json")) && existsSync(resolve(folder, "config.json")));
}

/**
 * A bfloat16 golden was made by casting the whole module to bfloat16 and back, its rotary frequencies included, which
 * loading a checkpoint never does (transformers keeps them float32, and so do we). The test follows the golden there.
 */
function likeGolden(config: DecoderConfig): DecoderConfig {
  if (config.json.dtype !== "bfloat16" || !config.rotary) return config;
  const inverseFrequencies = config.rotary.inverseFrequencies.map(toBfloat16);
  return { ...config, rotary: { ...config.rotary, inverseFrequencies } };
}

function toBfloat16(value: number): number {
  const bits = new Uint32Array(new Float32Array([value]).buffer);
  bits[0] = (bits[0]! + 0x7fff + ((bits[0]! >> 16) & 1)) & 0xffff0000; // round half to even
  return new Float32Array(bits.buffer)[0]!;
}

const worst = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((max, value, i) => Math.max(max, Math.abs(value - b[i]!)), 0);

async function openGolden(folder: string) {
  const file = resolve(folder, "model.safetensors");
  const files = { name: folder, source: "path", weights: { kind: "safetensors", file }, identity: "golden" } as const;
  const { checkpoint, config: json } = await openCheckpoint(
    { ...files, config: resolve(folder, "config.json") },
    { precision: "float32", cacheFolder: folder },
  );
  const architecture = findArchitecture(json, folder);
  const config = likeGolden(architecture.readConfig(json, folder));
  const { cases } = JSON.parse(readFileSync(resolve(folder, "expected.json"), "utf8")) as { cases: GoldenCase[] };
  return { architecture, checkpoint, config, cases };
}

function describeGolden(folder: string): void {
  test(`every layer's last token equals the reference (max |Δ| ${tolerance}), all sequences in one batch`, async () => {
    const { architecture, checkpoint, config, cases } = await openGolden(folder);
    for (let layer = 0; layer <= config.numLayers; layer++) {
      const encoder = await Encoder.create(buildInferenceGraph(architecture, config, checkpoint, layer), onDevice);
      const states = await encoder.run(TokenTree.of(cases.map(({ ids }) => ids)));
      cases.forEach((golden, i) => {
        const expected = layer === config.numLayers ? golden.lastToken : golden.allLayersLastToken[layer]!;
        expect(states[i]).toHaveLength(expected.length);
        expect(worst(states[i]!, expected), `layer ${layer}, ${golden.ids.length} tokens`).toBeLessThan(tolerance);
      });
      await encoder.close();
    }
  });

  test("a prefix that is run once and kept gives the same states", async () => {
    const { architecture, checkpoint, config, cases } = await openGolden(folder);
    const encoder = await Encoder.create(buildInferenceGraph(architecture, config, checkpoint), onDevice);
    for (const { ids, lastToken } of cases.filter((golden) => golden.ids.length > 4)) {
      const length = Math.floor(ids.length / 2);
      const prefix = await encoder.cachePrefix(ids.slice(0, length));
      const [alone] = await encoder.run(TokenTree.of([ids.slice(length)]), prefix);
      const [, beside] = await encoder.run(TokenTree.of([ids.slice(length, length + 1), ids.slice(length)]), prefix);
      expect(worst(alone!, lastToken)).toBeLessThan(tolerance);
      expect(worst(beside!, lastToken)).toBeLessThan(tolerance);
    }
    await encoder.close();
  });

  test("a beginning that several sequences share, computed once, gives the same states", async () => {
    const { architecture, checkpoint, config, cases } = await openGolden(folder);
    const encoder = await Encoder.create(buildInferenceGraph(architecture, config, checkpoint), onDevice);
    for (const { ids, lastToken } of cases.filter((golden) => golden.ids.length > 4)) {
      const half = Math.floor(ids.length / 2);
      const tree = TokenTree.of([[...ids, ids[1]!], ids, [...ids.slice(0, half), ids[1]!, ids[2]!], ids]);
      expect(tree.ids.length).toBe(ids.length + 1 + 1 + 2 + 1);
      const states = await encoder.run(tree);
      for (const row of [1, 3]) expect(worst(states[row]!, lastToken)).toBeLessThan(tolerance);
    }
    await encoder.close();
  });
}

for (const folder of goldenFolders(bundled))
  describe(`bundled golden ${folder.split("/").at(-1)}`, () => describeGolden(folder));

const sharedFolders = goldenFolders(shared);
if (sharedFolders.length === 0) {
  test.skip(`shared goldens: ${shared} has no sub-folder with expected.json; set ONEWORD_GOLDEN`, () => {});
}
for (const folder of sharedFolders) describe(`golden ${folder.split("/").at(-1)}`, () => describeGolden(folder));

test("every architecture has a bundled golden", async () => {
  const seen = goldenFolders(bundled).map(
    (folder) => JSON.parse(readFileSync(resolve(folder, "config.json"), "utf8")).model_type,
  );
  expect(new Set(seen)).toEqual(new Set(architectures.keys()));
  for (const folder of goldenFolders(bundled)) await readSafetensors(resolve(folder, "model.safetensors"));
});
