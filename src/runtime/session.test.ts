import { expect, test } from "vitest";
import { Graph } from "../graph/graph.ts";
import { devices } from "./device.ts";
import { discard, Session, Tensor } from "./session.ts";

test("a device that the runtime lacks or cannot use is refused with the ones there are", async () => {
  const graph = new Graph();
  graph.output(graph.input("x", "float32", [1]), "y");
  for (const device of devices.filter((name) => name !== "cpu")) {
    try {
      await (await Session.create(graph, { device })).close(); // a machine that has it
    } catch (error) {
      expect(error).toMatchObject({
        code: "bad-option",
        message: expect.stringMatching(new RegExp(`device ${device}.*cpu`, "s")),
      });
    }
  }
});

test("results that are discarded give their memory back at once", async () => {
  const graph = new Graph();
  graph.output(graph.input("x", "float32", ["rows"]), "y");
  const session = await Session.create(graph);
  const rows = 4e6;
  const results = await session.run({ x: new Tensor("float32", new Float32Array(rows), [rows]) }, ["y"]);
  const before = process.memoryUsage().arrayBuffers;
  discard(results);
  expect(before - process.memoryUsage().arrayBuffers).toBeGreaterThanOrEqual(4 * rows);
  expect(results.y!.data).toHaveLength(0);
  await session.close();
});
