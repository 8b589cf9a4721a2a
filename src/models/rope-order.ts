import type { DecoderConfig } from "./config.ts";

/** Whether the rows of the linear weight at `scope` are heads that are rotated, in GGUF's order instead of transformers'. */
export const isReordered = (scope: string, { rotary }: DecoderConfig): boolean =>
  rotary?.interleaved === true && /\.self_attn\.[qk]_proj$/.test(scope);

/**
 * Rows of heads in transformers' order, where the two of a rotated pair are headDim / 2 apart, as GGUF's llama has them, side by
 * side; or back.
 * @param values  [numHeads · headDim, columns]
 * @see llama.cpp, convert_hf_to_gguf.py: LlamaModel.permute
 */
export function reorderHeads(values: Float32Array, rows: number, headDim: number, to: "gguf" | "hf"): Float32Array {
  const columns = values.length / rows;
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim;
    const half = headDim / 2;
    const paired = row - inHead + (inHead % half) * 2 + Math.floor(inHead / half); // its row in GGUF's order
    const [from, at] = to === "gguf" ? [row, paired] : [paired, row];
    result.set(values.subarray(from * columns, (from + 1) * columns), at * columns);
  }
  return result;
}
