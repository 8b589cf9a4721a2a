import { Graph } from "../graph/graph.ts";
import { matmulInt8 } from "../graph/ops/quantized.ts";
import { Session, Tensor } from "./session.ts";

const [rows, inputs, outputs] = [16, 64, 32];

/**
 * Whether products of unsigned activations and signed weights are exact here. Processors without VNNI add neighbouring
 * products in 16 bits, where 255 · 127 · 2 does not fit; weights must be unsigned there too, which is slower but exact.
 */
export async function multipliesSignedWeights(): Promise<boolean> {
  const graph = new Graph();
  const quants = graph.input("quants", "uint8", ["rows", inputs]);
  const scales = graph.input("scales", "float32", ["rows", 1]);
  const weight = graph.constant("int8", [inputs, outputs], new Uint8Array(inputs * outputs).fill(127));
  const weightScales = graph.constant("float32", [outputs], new Uint8Array(new Float32Array(outputs).fill(1).buffer));
  const product = matmulInt8({ quants, scales }, { out: outputs, in: inputs, quants: weight, scales: weightScales });
  graph.output(product, "product");
  const session = await Session.create(graph, { threads: 1 });
  try {
    const feeds = {
      quants: new Tensor("uint8", new Uint8Array(rows * inputs).fill(255), [rows, inputs]),
      scales: new Tensor("float32", new Float32Array(rows).fill(1), [rows, 1]),
    };
    const outcome = await session.run(feeds, ["product"]);
    return (outcome.product!.data as Float32Array).every((value) => value === (255 - 128) * 127 * inputs);
  } finally {
    await session.close();
  }
}
