import { expect, test } from "vitest";
import { Graph } from "../graph/graph.ts";
import { devices } from "./device.ts";
import { Session } from "./session.ts";

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
