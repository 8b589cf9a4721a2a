import { basename } from "node:path";
import protobuf from "protobufjs/minimal.js";
import { type Attribute, dataTypes, type Graph, type Initializer, type Node, type Value } from "./graph.ts";

type Writer = protobuf.Writer;

/** Operator sets the graphs are written in: ONNX 23 has RMSNormalization and RotaryEmbedding as standard operators. */
const opsets = { "": 23, "com.microsoft": 1 };
const irVersion = 11;

const attributeTypes = { float: 1, int: 2, string: 3, ints: 7 }; // AttributeProto.AttributeType

/** Protobuf key of field `id` that holds bytes: wire type 2. */
const bytesField = (id: number): number => (id << 3) | 2;
const varintField = (id: number): number => id << 3;

function message(writer: Writer, id: number, write: (inner: Writer) => void): void {
  writer.uint32(bytesField(id)).fork();
  write(writer);
  writer.ldelim();
}

const text = (writer: Writer, id: number, value: string): Writer => writer.uint32(bytesField(id)).string(value);

/**
 * Serialises a graph as an ONNX ModelProto. Weights in files become external data: `location` is the file's base name,
 * so the runtime must be told the folder, and all weight files of a graph lie in one folder.
 * @see https://github.com/onnx/onnx/blob/main/onnx/onnx.proto for the field numbers
 */
export function writeOnnx(graph: Graph): Uint8Array {
  const writer = protobuf.Writer.create();
  writer.uint32(varintField(1)).int64(irVersion);
  text(writer, 2, "oneword");
  message(writer, 7, (inner) => writeGraph(inner, graph));
  for (const [domain, version] of Object.entries(opsets)) {
    message(writer, 8, (inner) => text(inner, 1, domain).uint32(varintField(2)).int64(version));
  }
  return writer.finish();
}

function writeGraph(writer: Writer, graph: Graph): void {
  for (const node of graph.nodes) message(writer, 1, (inner) => writeNode(inner, node));
  text(writer, 2, "oneword");
  for (const initializer of graph.initializers.values()) {
    message(writer, 5, (inner) => writeInitializer(inner, initializer));
  }
  for (const input of graph.inputs) message(writer, 11, (inner) => writeValueInfo(inner, input));
  for (const output of graph.outputs) message(writer, 12, (inner) => writeValueInfo(inner, output));
  // where the runtime does not know two values' sizes to be equal it compares every one with all that are free
  const isOutput = new Set(graph.outputs);
  for (const value of graph.nodes.flatMap((node) => node.outputs)) {
    if (!isOutput.has(value)) message(writer, 13, (inner) => writeValueInfo(inner, value));
  }
}

function writeNode(writer: Writer, node: Node): void {
  for (const input of node.inputs) text(writer, 1, input?.name ?? "");
  for (const output of node.outputs) text(writer, 2, output.name);
  text(writer, 3, `${node.type}_${node.outputs[0]?.name}`);
  text(writer, 4, node.type);
  for (const [name, value] of Object.entries(node.attributes)) {
    message(writer, 5, (inner) => writeAttribute(inner, name, value));
  }
  if (node.domain) text(writer, 7, node.domain);
}

function writeAttribute(writer: Writer, name: string, value: Attribute): void {
  text(writer, 1, name);
  const type = (kind: keyof typeof attributeTypes): Writer =>
    writer.uint32(varintField(20)).int32(attributeTypes[kind]);
  if (typeof value === "number") {
    writer.uint32(varintField(3)).int64(value);
    type("int");
  } else if (typeof value === "string") {
    text(writer, 4, value);
    type("string");
  } else if ("float" in value) {
    writer.uint32((2 << 3) | 5).float(value.float);
    type("float");
  } else {
    for (const item of value) writer.uint32(varintField(8)).int64(item);
    type("ints");
  }
}

function writeInitializer(writer: Writer, { value, data }: Initializer): void {
  for (const dim of value.shape) writer.uint32(varintField(1)).int64(Number(dim));
  writer.uint32(varintField(2)).int32(dataTypes[value.type]);
  text(writer, 8, value.name);
  if ("bytes" in data) {
    writer.uint32(bytesField(9)).bytes(data.bytes);
    return;
  }
  const external = { location: basename(data.file), offset: String(data.offset), length: String(data.length) };
  for (const [key, entry] of Object.entries(external)) {
    message(writer, 13, (inner) => text(text(inner, 1, key), 2, entry));
  }
  writer.uint32(varintField(14)).int32(1); // DataLocation.EXTERNAL
}

function writeValueInfo(writer: Writer, value: Value): void {
  text(writer, 1, value.name);
  message(writer, 2, (type) =>
    message(type, 1, (tensor) => {
      tensor.uint32(varintField(1)).int32(dataTypes[value.type]);
      message(tensor, 2, (shape) => {
        for (const dim of value.shape) {
          message(shape, 1, (inner) => {
            if (typeof dim === "number") inner.uint32(varintField(1)).int64(dim);
            else text(inner, 2, dim);
          });
        }
      });
    }),
  );
}
