/** Element types a checkpoint can hold. The quantised ones are GGML blocks, named as in GGUF. */
export type FloatType = "F32" | "F16" | "BF16";
export type BlockType = "Q8_0" | "Q4_0" | "Q4_1" | "Q5_0" | "Q5_1" | "Q4_K" | "Q5_K" | "Q6_K";
export type StorageType = FloatType | BlockType;

/** Where one tensor lies on disk. Nothing is read until someone asks for the bytes. */
export interface TensorEntry {
  readonly name: string;
  readonly type: StorageType;
  /** Row-major, outermost dimension first, as in the Hugging Face checkpoint: a linear weight is [out, in]. */
  readonly shape: readonly number[];
  /** Absolute path of the file that holds the bytes. */
  readonly file: string;
  /** Bytes from the beginning of the file; an exact integer, may be over 2^32. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/** All tensors of a checkpoint by the name the file gives them. */
export type TensorIndex = ReadonlyMap<string, TensorEntry>;
