import { encodeFloats, floatBytes, type HeldType, type LazyTensor } from "./float-tensors.ts";

/** gguf_metadata_value_type numbers of the types we write. */
const valueTypes = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, int64: 11 } as const;
const arrayType = 9;
const tensorTypes = { F32: 0, F16: 1 } as const; // ggml_type
const alignment = 32;

type Scalar = string | number | boolean | bigint;

/** A metadata value, or a list of them, and what the file is to hold it as. */
export interface GgufValue {
  readonly type: keyof typeof valueTypes;
  readonly value: Scalar | readonly Scalar[];
}

export interface GgufTensor extends LazyTensor {
  readonly type: HeldType;
}

/**
 * A GGUF file, version 3, piece by piece: the head, then each tensor's bytes. Shapes are outermost dimension first, as everywhere
 * here; the file has them the other way round.
 * @see https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
export async function* streamGguf(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
): AsyncGenerator<Uint8Array, void, undefined> {
  yield padded(headOf(metadata, tensors));
  for (const { name, shape, type, read } of tensors) yield padded(encodeFloats(name, shape, await read(), type));
}

function headOf(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Uint8Array {
  const head = [Buffer.from("GGUF"), uint32(3), uint64(tensors.length), uint64(metadata.size)];
  for (const [key, value] of metadata) head.push(text(key), ...valueBytes(value));
  let offset = 0;
  for (const { name, shape, type } of tensors) {
    const dims = shape.toReversed().map(uint64);
    head.push(text(name), uint32(shape.length), ...dims, uint32(tensorTypes[type]), uint64(offset));
    offset += aligned(floatBytes(shape, type));
  }
  return Buffer.concat(head);
}

function valueBytes({ type, value }: GgufValue): Buffer[] {
  const number = uint32(valueTypes[type]);
  if (!Array.isArray(value)) return [number, scalar(type, value as Scalar)];
  return [uint32(arrayType), number, uint64(value.length), ...value.map((item) => scalar(type, item))];
}

function scalar(type: GgufValue["type"], value: Scalar): Buffer {
  switch (type) {
    case "string":
      return text(String(value));
    case "bool":
      return Buffer.of(value ? 1 : 0);
    case "uint32":
      return uint32(Number(value));
    case "int32":
      return filled(4, (bytes) => bytes.writeInt32LE(Number(value)));
    case "float32":
      return filled(4, (bytes) => bytes.writeFloatLE(Number(value)));
    case "int64":
      return filled(8, (bytes) => bytes.writeBigInt64LE(BigInt(value)));
  }
}

function filled(length: number, write: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(length);
  write(bytes);
  return bytes;
}

const uint32 = (value: number): Buffer => filled(4, (bytes) => bytes.writeUInt32LE(value));
const uint64 = (value: number): Buffer => filled(8, (bytes) => bytes.writeBigUInt64LE(BigInt(value)));

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
}

const aligned = (length: number): number => Math.ceil(length / alignment) * alignment;

function padded(bytes: Uint8Array): Uint8Array {
  const end = aligned(bytes.length);
  return end === bytes.length ? bytes : Buffer.concat([bytes, Buffer.alloc(end - bytes.length)]);
}
