import { endianness } from "node:os";
import type { RowEncoder } from "./row-buffer.ts";

/** Bytes in front of the data; a multiple of 64, with room for a row count of 15 digits. */
export const npyHeaderBytes = 128;

/**
 * Header of a .npy file, version 1.0: magic, version, length of the rest as uint16, a Python dict padded with spaces to
 * `npyHeaderBytes` and ended by \n.
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
export function npyHeader(rows: number, hiddenSize: number): Buffer {
  const dict = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${hiddenSize}), }`;
  const header = Buffer.alloc(npyHeaderBytes, " ");
  header.write("\x93NUMPY\x01\x00", 0, "latin1");
  header.writeUInt16LE(npyHeaderBytes - 10, 8);
  header.write(dict, 10, "latin1");
  header[npyHeaderBytes - 1] = 10;
  return header;
}

/** Rows of little-endian float32, [rows, hiddenSize]. The header says 0 rows until it is patched at the end. */
export function npyRows(hiddenSize: number): RowEncoder {
  const swap = endianness() === "BE";
  return {
    header: npyHeader(0, hiddenSize),
    finalHeader: (rows) => npyHeader(rows, hiddenSize),
    maxRowBytes: hiddenSize * 4,
    encode(_index, embedding, bytes, offset) {
      const row = Buffer.from(embedding.buffer, embedding.byteOffset, embedding.byteLength);
      row.copy(bytes, offset);
      if (swap) bytes.subarray(offset, offset + row.length).swap32();
      return offset + row.length;
    },
  };
}
