import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { InferenceSession } from "onnxruntime-node";
import type { Precision } from "../src/text/recipe.ts";

/** Creates the runtime's session of a model and ends. The graph is written by a first run, so that the others only read it. */
const [model = "", precision = "", task] = process.argv.slice(2);
const kept = join(tmpdir(), `oneword-bench-${model.replace(/\W/g, "_")}-${precision}`);

if (task === "write") await writeGraph();
const { folder } = JSON.parse(readFileSync(`${kept}.json`, "utf8")) as { folder: string };
const extra = { session: { model_external_initializers_file_folder_path: folder } };
await InferenceSession.create(readFileSync(`${kept}.onnx`), { logSeverityLevel: 3, extra });
process.exit(0);

async function writeGraph(): Promise<void> {
  const { resolveModel } = await import("../src/files/resolve-model.ts");
  const { openCheckpoint } = await import("../src/models/checkpoint.ts");
  const { findArchitecture } = await import("../src/models/registry.ts");
  const { buildInferenceGraph } = await import("../src/models/build.ts");
  const { cacheFolder } = await import("../src/files/cache-folder.ts");
  const { writeOnnx } = await import("../src/graph/onnx.ts");
  const { multipliesSignedWeights } = await import("../src/runtime/int8-support.ts");
  const files = await resolveModel(model);
  const opened = await openCheckpoint(files, {
    precision: precision as Precision,
    cacheFolder: cacheFolder(),
    signedWeights: await multipliesSignedWeights(),
  });
  const architecture = findArchitecture(opened.config, opened.configSource);
  const config = architecture.readConfig(opened.config, opened.configSource);
  const { graph } = buildInferenceGraph(architecture, config, opened.checkpoint, "last");
  const tensor = [...graph.initializers.values()].find(({ data }) => "file" in data);
  if (!tensor || !("file" in tensor.data)) throw new Error("the graph names no file");
  writeFileSync(`${kept}.onnx`, writeOnnx(graph));
  writeFileSync(`${kept}.json`, JSON.stringify({ folder: dirname(tensor.data.file) }));
}
