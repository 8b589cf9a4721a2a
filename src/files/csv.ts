import { maxFloat32Bytes, writeFloat32 } from "./float-text.ts";
import type { RowEncoder } from "./row-buffer.ts";

/** `index,e0,e1,…` and one row a line. Numbers alone need no quotes, so there are none. */
export function csvRows(hiddenSize: number): RowEncoder {
  const names = Array.from({ length: hiddenSize }, (_, i) => `e${i}`);
  return {
    header: Buffer.from(`${["index", ...names].join(",")}\n`),
    maxRowBytes: hiddenSize * (maxFloat32Bytes + 1) + 32,
    encode(index, embedding, bytes, offset) {
      let at = offset + bytes.write(String(index), offset, "latin1");
      for (let i = 0; i < embedding.length; i++) {
        bytes[at++] = 44; // ,
        at = writeFloat32(embedding[i]!, bytes, at);
      }
      bytes[at++] = 10;
      return at;
    },
  };
}
