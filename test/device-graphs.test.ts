import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EncoderPool } from "../src/embed/encoder-pool.ts";
import { openCheckpoint } from "../src/models/checkpoint.ts";
import { findArchitecture } from "../src/models/registry.ts";

let cacheFolder: string;
beforeAll(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "oneword-devices-"));
});
afterAll(() => rm(cacheFolder, { recursive: true }));

async function graphFor(name: string, precision: "float32" | "float16") {
  const folder = resolve(import.meta.dirname, "fixtures/golden", name);
  const weights = { kind: "safetensors", file: resolve(folder, "model.safetensors") } as const;
  const files = { name, source: "path", weights, identity: name, config: resolve(folder, "config.json") } as const;
  const { checkpoint, config: json } = await openCheckpoint(files, { precision, cacheFolder });
  const architecture = findArchitecture(json, folder);
  const config = architecture.readConfig(json, folder);
  return new EncoderPool({ architecture, config, checkpoint, session: {} }).graph({ layer: "last" });
}

/** Operators that the standard does not have. */
const ownOperators = ({ graph }: Awaited<ReturnType<typeof graphFor>>): string[] => [
  ...new Set(graph.nodes.filter(({ domain }) => domain).map(({ domain, type }) => `${domain}.${type}`)),
];

test.each(["llama", "opt"])(
  "the float graphs of %s have operators of the standard alone: any device can run them",
  async (name) => {
    expect(ownOperators(await graphFor(name, "float32"))).toEqual([]);
    expect(ownOperators(await graphFor(name, "float16"))).toEqual([]);
  },
);

test.each(["float32", "float16"] as const)(
  "the %s graphs hold no infinity, which shaders may not know",
  async (type) => {
    const { graph } = await graphFor("llama", type);
    const constants = [...graph.initializers.values()].filter(({ data }) => "bytes" in data);
    const floats = constants.flatMap(({ value, data }) => {
      const { buffer } = (data as { bytes: Uint8Array }).bytes.slice();
      if (value.type === "float16") return Array.from(new Uint16Array(buffer), (bits) => (bits & 0x7c00) !== 0x7c00);
      return value.type === "float32" ? Array.from(new Float32Array(buffer), Number.isFinite) : [];
    });
    expect(floats.length).toBeGreaterThan(10);
    expect(floats).not.toContain(false);
  },
);
