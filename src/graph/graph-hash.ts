import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import type { Graph, InitializerData, Value } from "./graph.ts";

/**
 * sha256 of what a graph computes, in hex: operators, their attributes and wiring, constants, and where in which file its
 * weights lie, not their numbers. Of a file only the folder's name counts, which for prepared weights says how they were made.
 */
export function graphHash({ nodes, inputs, outputs, initializers }: Graph): string {
  const lines: string[] = [];
  const add = (...parts: unknown[]): unknown => lines.push(JSON.stringify(parts));
  const typed = ({ name, type, shape }: Value) => [name, type, shape];
  add(inputs.map(typed), outputs.map(typed));
  for (const { value, data } of initializers.values()) add(typed(value), dataKey(data));
  for (const node of nodes) {
    const names = node.inputs.map((input) => input?.name ?? null);
    const results = node.outputs.map(({ name }) => name);
    add(node.domain, node.type, node.attributes, names, results);
  }
  return createHash("sha256").update(lines.join("\n")).digest("hex");
}

const dataKey = (data: InitializerData): unknown =>
  "bytes" in data
    ? createHash("sha256").update(data.bytes).digest("hex")
    : [basename(dirname(data.file)), data.offset, data.length];
