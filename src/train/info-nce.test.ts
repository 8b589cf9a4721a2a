import { expect, test } from "vitest";
import { Graph } from "../graph/graph.ts";
import { Session, Tensor } from "../runtime/session.ts";
import { infoNce } from "./info-nce.ts";

async function lossOf(anchors: number[][], candidates: number[][], temperature: number): Promise<number> {
  const graph = new Graph();
  const width = anchors[0]!.length;
  const loss = infoNce(
    graph.input("anchors", "float32", ["pairs", width]),
    graph.input("candidates", "float32", ["candidates", width]),
    temperature,
  );
  graph.output(loss, "loss");
  const session = await Session.create(graph);
  const feed = (rows: number[][]): Tensor =>
    new Tensor("float32", Float32Array.from(rows.flat()), [rows.length, width]);
  const outputs = await session.run({ anchors: feed(anchors), candidates: feed(candidates) }, ["loss"]);
  await session.close();
  return outputs.loss!.data[0] as number;
}

test("is the mean cross entropy of every anchor's own positive among all candidates", async () => {
  // cosines of (1, 0): 1, 0 and with (-3, 4) -0.6; of (0, 2): 0, 1 and 0.8; the temperature is 0.5
  const first = -Math.log(Math.exp(2) / (Math.exp(2) + 1 + Math.exp(-1.2)));
  const second = -Math.log(Math.exp(2) / (Math.exp(2) + 1 + Math.exp(1.6)));
  const candidates = [
    [5, 0],
    [0, 1],
    [-3, 4],
  ];
  const anchors = [
    [1, 0],
    [0, 2],
  ];
  expect(await lossOf(anchors, candidates, 0.5)).toBeCloseTo((first + second) / 2, 5);
});

test("stays a number at a temperature at which e^(cos / τ) is none", async () => {
  expect(
    await lossOf(
      [[1, 0]],
      [
        [0, 1],
        [1, 0],
      ],
      0.001,
    ),
  ).toBeCloseTo(1000, 2); // -log(1 / (1 + e^1000))
});

test("takes an embedding of zeros without becoming NaN", async () => {
  expect(
    await lossOf(
      [[0, 0]],
      [
        [1, 0],
        [0, 1],
      ],
      0.05,
    ),
  ).toBeCloseTo(Math.log(2), 5);
});
