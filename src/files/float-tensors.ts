import { InternalError, ModelError } from "../errors.ts";
import { dequantize } from "./gguf-blocks.ts";
import { readAt, withFile } from "./read-at.ts";
import type { TensorEntry } from "./tensor-index.ts";

/** Elements of a tensor as float32, whatever type the file holds. */
export function readFloats(entry: TensorEntry): Promise<Float32Array> {
  return withFile(entry.file, async (handle) => {
    const bytes = await readAt(handle, entry.offset, entry.length);
    return dequantize(entry.type, bytes, elementCount(entry.shape));
  });
}

export const elementCount = (shape: readonly number[]): number => shape.reduce((size, dim) => size * dim, 1);

/** A tensor to be written. */
export interface FloatTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

export type HeldType = "F32" | "F16";

/** A tensor that is made when it is written, so that a file may be larger than memory. */
export interface LazyTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly read: () => Promise<Float32Array>;
}

/**
 * A safetensors file of float tensors, sorted by name as the format's own library does within one dtype: the head, then each
 * tensor's bytes, which are the numbers themselves where they are not made shorter.
 * @param metadata  strings for `__metadata__`
 * @see https://github.com/huggingface/safetensors#format
 */
export async function* safetensorsPieces(
  tensors: readonly (FloatTensor | LazyTensor)[],
  dtype: HeldType,
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { head, sorted } = layOut(tensors, dtype, metadata);
  yield head;
  for (const tensor of sorted) {
    const values = "values" in tensor ? tensor.values : await tensor.read();
    yield encodeFloats(tensor.name, tensor.shape, values, dtype);
  }
}

function layOut<T extends { readonly name: string; readonly shape: readonly number[] }>(
  tensors: readonly T[],
  dtype: HeldType,
  metadata: Readonly<Record<string, string>>,
): { readonly head: Buffer; readonly sorted: readonly T[] } {
  const sorted = [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const { name, shape } of sorted) {
    const start = end;
    end += floatBytes(shape, dtype);
    header[name] = { dtype, shape, data_offsets: [start, end] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, " ")]); // data begin on 8 bytes
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return { head: Buffer.concat([length, padded]), sorted };
}

/** Bytes of a tensor. */
export const floatBytes = (shape: readonly number[], dtype: HeldType): number =>
  elementCount(shape) * (dtype === "F32" ? 4 : 2);

/** @throws ModelError "unsupported-type" for a number that float16 cannot hold */
export function encodeFloats(
  name: string,
  shape: readonly number[],
  values: Float32Array,
  dtype: HeldType,
): Uint8Array {
  if (values.length !== elementCount(shape)) {
    throw new InternalError("graph", `${name}: ${values.length} numbers for the shape [${shape}].`);
  }
  if (dtype === "F32") return bytesOf(values);
  const halves = toHalves(values);
  const large = halves.findIndex((half, i) => (half & 0x7fff) === 0x7c00 && Number.isFinite(values[i]));
  if (large < 0) return bytesOf(halves);
  const advice = "which float16 cannot hold. Use float32.";
  throw new ModelError("unsupported-type", `"${name}" holds ${values[large]}, ${advice}`);
}

const bytesOf = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Bits of the nearest IEEE halves; `Uint16Array.from` would take 20 times as long, and a list of all numbers. */
export const toHalves = (values: Float32Array): Uint16Array<ArrayBuffer> =>
  new Uint16Array(values.length).map((_, i) => toHalf(values[i]!));

/** Bits of the nearest IEEE half, ties to even; too large becomes infinity. */
export function toHalf(value: number): number {
  float[0] = value;
  const x = bits[0]!;
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65536 and more
  if (magnitude < 0x38800000) {
    // below 2^-14: whole multiples of 2^-24
    return sign | roundHalfToEven(Math.abs(value) * 2 ** 24);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
