import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { InputError } from "../errors.ts";

export type DataRecord = Readonly<Record<string, unknown>>;

/**
 * Rows of a data set's file: Parquet, or JSON lines, plain or packed by gzip.
 * @throws InputError "bad-row" for a file that is none of these
 */
export async function readRecords(file: string): Promise<DataRecord[]> {
  const bytes = await readFile(file);
  try {
    if (/\.parquet$/i.test(file)) return await readParquet(bytes);
    const text = (/\.gz$/i.test(file) ? gunzipSync(bytes) : bytes).toString("utf8");
    return text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => JSON.parse(line));
  } catch (cause) {
    throw new InputError("bad-row", `${file}: cannot be read (${(cause as Error).message}). Fetch it again.`, {
      cause,
    });
  }
}

async function readParquet(bytes: Buffer): Promise<DataRecord[]> {
  const { parquetReadObjects } = await import("hyparquet");
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
  return parquetReadObjects({ file: buffer });
}
