import { ModelError } from "../errors.ts";
import type { StorageType, TensorEntry } from "./tensor-index.ts";

/** Bytes and weights of one block; a float is a block of one. Sizes as in ggml-common.h. */
export const blockSizes: Readonly<Record<StorageType, { readonly bytes: number; readonly weights: number }>> = {
  F32: { bytes: 4, weights: 1 },
  F16: { bytes: 2, weights: 1 },
  BF16: { bytes: 2, weights: 1 },
  Q8_0: { bytes: 34, weights: 32 },
  Q4_0: { bytes: 18, weights: 32 },
  Q4_1: { bytes: 20, weights: 32 },
  Q5_0: { bytes: 22, weights: 32 },
  Q5_1: { bytes: 24, weights: 32 },
  Q4_K: { bytes: 144, weights: 256 },
  Q5_K: { bytes: 176, weights: 256 },
  Q6_K: { bytes: 210, weights: 256 },
};

export const corrupt = (file: string, message: string): ModelError =>
  new ModelError("corrupt-file", `${file}: ${message} Download it again.`);

/** Text of a file as part of an error message: quoted, on one line, not endless. */
export const quote = (text: string): string =>
  JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text).replace(/[\u007f-\u009f\u2028\u2029]/g, "�");

/** A shape as part of an error message; what is no number in it shows as "?". */
export const showShape = (shape: readonly unknown[]): string => {
  const dims = shape.slice(0, 8).map((dim) => (typeof dim === "number" ? dim : "?"));
  return `[${dims.join(", ")}${shape.length > 8 ? ", …" : ""}]`;
};

/** Product of dimensions. @throws ModelError "corrupt-file" for a dimension that is no size, or a product over 2^53 */
export function countElements(shape: readonly unknown[], file: string, name: string): number {
  let count = 1;
  for (const dim of shape) {
    if (typeof dim !== "number" || !Number.isSafeInteger(dim) || dim < 0) {
      throw corrupt(file, `${quote(name)} has the impossible shape ${showShape(shape)}.`);
    }
    count *= dim;
    if (!Number.isSafeInteger(count)) {
      throw corrupt(file, `${quote(name)} has the impossible shape ${showShape(shape)}: over 2^53 elements.`);
    }
  }
  return count;
}

type Range = Pick<TensorEntry, "name" | "offset" | "length">;

/**
 * @returns the ranges that hold anything, in the order of the file
 * @throws ModelError "corrupt-file" where two tensors share bytes, or where the file ends before its tensors do
 */
export function checkRanges(ranges: readonly Range[], fileSize: number, file: string): readonly Range[] {
  const beyond = ranges.reduce<Range | null>((last, range) => {
    const limit = last ? last.offset + last.length : fileSize;
    return range.offset + range.length > limit ? range : last;
  }, null);
  if (beyond) {
    const end = beyond.offset + beyond.length;
    throw corrupt(
      file,
      `${end - fileSize} bytes are missing: ${quote(beyond.name)} ends at byte ${end}, the file at ${fileSize}. The download was cut.`,
    );
  }
  const sorted = ranges.filter(({ length }) => length > 0).sort((a, b) => a.offset - b.offset);
  for (const [i, { name, offset }] of sorted.entries()) {
    const before = sorted[i - 1];
    if (before && offset < before.offset + before.length) {
      throw corrupt(file, `${quote(name)} and ${quote(before.name)} share bytes.`);
    }
  }
  return sorted;
}
