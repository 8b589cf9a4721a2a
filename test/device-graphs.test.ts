import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EncoderPool } from "../src/embed/encoder-pool.ts";
import { openCheckpoint } from "../src/models/checkpoint.ts";
import { findArchitecture } from "../src/models/registry.ts";
import { type Device, devices } from "../src/runtime/device.ts";
import { Encoder } from "../src/runtime/encoder.ts";
import { TokenTree } from "../src/text/token-tree.ts";

let cacheFolder: string;
beforeAll(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "oneword-devices-"));
});
afterAll(() => rm(cacheFolder, { recursive: true }));

async function graphFor(name: string, precision: "float32" | "float16", device: Device) {
  const folder = resolve(import.meta.dirname, "fixtures/golden", name);
  const weights = { kind: "safetensors", file: resolve(folder, "model.safetensors") } as const;
  const files = { name, source: "path", weights, identity: name, config: resolve(folder, "config.json") } as const;
  const { checkpoint, config: json } = await openCheckpoint(files, { precision, cacheFolder });
  const architecture = findArchitecture(json, folder);
  const config = architecture.readConfig(json, folder);
  return new EncoderPool({ architecture, config, checkpoint, session: { device } }).graph({ layer: "last" });
}

/** Operators that the standard does not have. */
const ownOperators = ({ graph }: Awaited<ReturnType<typeof graphFor>>): string[] => [
  ...new Set(graph.nodes.filter(({ domain }) => domain).map(({ domain, type }) => `${domain}.${type}`)),
];

describe.each([
  ["llama", "com.microsoft.SkipSimplifiedLayerNormalization"],
  ["opt", "com.microsoft.SkipLayerNormalization"],
])("the graph of %s", (name, norm) => {
  const others = { cpu: [norm], cuda: [norm], webgpu: [norm], dml: [norm], coreml: [] };
  test.each(devices)("for %s has the operators beyond the standard that it has there", async (device) => {
    expect(ownOperators(await graphFor(name, "float32", device))).toEqual(others[device]);
    expect(ownOperators(await graphFor(name, "float16", device))).toEqual([]);
  });

  test("asks a fused norm for no mean and no deviation, with which DirectML would leave it to the CPU", async () => {
    const { graph } = await graphFor(name, "float32", "dml");
    const fused = graph.nodes.filter(({ domain }) => domain);
    expect(new Set(fused.flatMap(({ outputs: [, mean, deviation] }) => [mean!.name, deviation!.name]))).toEqual(
      new Set([""]),
    );
  });

  test("gives the same vectors in the standard's operators (max |Δ| 1e-5)", async () => {
    const rows: Float32Array[] = [];
    for (const device of ["cpu", "coreml"] as const) {
      const encoder = await Encoder.create(await graphFor(name, "float32", device)); // both on the CPU
      rows.push((await encoder.run(TokenTree.of([[5, 6, 7, 8]])))[0]!);
      await encoder.close();
    }
    expect(Math.max(...rows[0]!.map((value, i) => Math.abs(value - rows[1]![i]!)))).toBeLessThan(1e-5);
  });
});
