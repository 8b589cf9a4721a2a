import { InternalError, ModelError } from "../errors.ts";
import { elementCount } from "../files/float-tensors.ts";
import { type SplitBlocks, splitBlocks } from "../files/split-blocks.ts";
import type { BlockType, FloatType, TensorEntry } from "../files/tensor-index.ts";
import { nf4Group, nf4Sizes } from "./nf4.ts";
import { int4Block, quantizeInt4, quantizeInt8 } from "./quantize.ts";
import type { DenseTensor, FileRange, StoredTensor } from "./weights.ts";

/**
 * What becomes of a tensor. `raw`: its bytes; `float32`: widened; `float16`: rounded; `blocks`: GGML blocks with their parts apart, a byte a
 * weight in `byteBlocks`, for activations in int8 in `int4Blocks`; `int8`: a scale for each output channel, with its zero
 * at 128 in `uint8`; `int8Rows`: the same numbers in blocks that repeat their row's scale; `int4`: blocks of 32; `nf4`: blocks of 64.
 */
export type WeightForm =
  | "raw"
  | "float32"
  | "float16"
  | "blocks"
  | "byteBlocks"
  | "int4Blocks"
  | "int8"
  | "uint8"
  | "int8Rows"
  | "int4"
  | "nf4";

const alignment = 64;

/** Hands out aligned stretches of a file that is yet to be written. */
export class RangePlan {
  readonly #file: string;
  #end = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Length of the whole file, bytes. */
  get end(): number {
    return this.#end;
  }

  reserve(length: number): FileRange {
    const offset = Math.ceil(this.#end / alignment) * alignment;
    this.#end = offset + length;
    return { file: this.#file, offset, length };
  }
}

export const floatTypes: Readonly<Record<FloatType, DenseTensor["type"]>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
};

/** A vector is a column. */
export const widthOf = ({ shape }: TensorEntry): number => (shape.length === 1 ? 1 : shape.at(-1)!);
export const rowsOf = (entry: TensorEntry): number => elementCount(entry.shape) / widthOf(entry);

/** Where the parts of a tensor in another form will lie. It follows from type and shape alone, so rows can be filled in any order. */
export function planForm(entry: TensorEntry, form: WeightForm, plan: RangePlan): StoredTensor {
  const [rows, columns] = [rowsOf(entry), widthOf(entry)];
  const weights = rows * columns;
  switch (form) {
    case "raw": {
      const type = floatTypes[entry.type as FloatType];
      return { kind: "dense", type, shape: entry.shape, ...plan.reserve(entry.length) };
    }
    case "float32":
      return { kind: "dense", type: "float32", shape: entry.shape, ...plan.reserve(weights * 4) };
    case "float16":
      return { kind: "dense", type: "float16", shape: entry.shape, ...plan.reserve(weights * 2) };
    case "int8":
    case "uint8": {
      const [quants, scales] = [plan.reserve(weights), plan.reserve(rows * 4)];
      return { kind: "int8", type: form, shape: [rows, columns], quants, scales };
    }
    case "nf4": {
      const { groups } = nf4Sizes(weights);
      const [quants, codes] = [plan.reserve(Math.ceil(weights / 2)), plan.reserve(groups * nf4Group)];
      const [scales, means] = [plan.reserve(groups * 4), plan.reserve(groups * 4)];
      return { kind: "nf4", shape: [rows, columns], quants, codes, scales, means };
    }
    default:
      return planBlocks(entry, form, plan);
  }
}

function planBlocks(entry: TensorEntry, form: BlockForm, plan: RangePlan): StoredTensor {
  const [rows, columns] = [rowsOf(entry), widthOf(entry)];
  const { bits, blockSize, zeroPoints } = emptyBlocks(entry, form);
  const blockBytes = (rows * columns * 4) / blockSize;
  return {
    kind: "blocks",
    bits,
    blockSize,
    shape: [rows, columns],
    quants: plan.reserve((rows * columns * bits) / 8),
    scales: plan.reserve(blockBytes),
    zeroPoints: zeroPoints && plan.reserve(blockBytes),
    activations: form === "int4" || form === "int4Blocks" ? "int8" : "float32",
  };
}

type BlockForm = Extract<WeightForm, "blocks" | "byteBlocks" | "int4Blocks" | "int8Rows" | "int4">;

/** What no rows at all become: the format alone. */
function emptyBlocks(entry: TensorEntry, form: BlockForm): SplitBlocks {
  if (form === "int4") {
    const width = widthOf(entry);
    if (width % int4Block === 0) return quantizeInt4(new Float32Array(0));
    const problem = `rows of ${width} weights are no whole blocks of ${int4Block}. Use another precision than int4.`;
    throw new ModelError("unsupported-type", `${entry.file}: "${entry.name}": ${problem}`);
  }
  if (form === "int8Rows") return quantizeInt8(new Float32Array(0), widthOf(entry));
  return splitRows(entry, form, new Uint8Array(0), 0);
}

/** Rows of GGML blocks with their parts apart. */
export function splitRows(entry: TensorEntry, form: WeightForm, bytes: Uint8Array, count: number): SplitBlocks {
  if (entry.type in floatTypes) throw new InternalError("graph", `"${entry.name}", ${entry.type}, has no blocks.`);
  return splitBlocks(entry.type as BlockType, bytes, count, widthOf(entry), form === "byteBlocks" ? 8 : 4);
}
