import { extname } from "node:path";
import { InputError, ModelError } from "../errors.ts";
import { csvRows } from "./csv.ts";
import { jsonlRows } from "./jsonl.ts";
import { npyRows } from "./npy.ts";
import { type ByteSink, RowBuffer, type RowEncoder } from "./row-buffer.ts";

export const vectorFormats = ["jsonl", "csv", "npy", "parquet"] as const;
export type VectorFormat = (typeof vectorFormats)[number];

/** Takes rows in order; the first has index 0. Await each `write`: that is the backpressure. */
export interface VectorWriter {
  /** @throws ModelError "nan-output" when a number is not finite; nothing of that row is written */
  write(embedding: Float32Array): Promise<void>;
  /** Brings every whole row so far to where it goes, if the format can. */
  flush(): Promise<void>;
  /** Completes the output. @returns the number of rows */
  end(): Promise<number>;
}

/** What made the vectors, for formats with room for it: JSONL carries the id, Parquet all. */
export interface VectorOrigin {
  /** Identity of the weights. */
  readonly model: string;
  readonly recipeId: string;
  /** The whole recipe as JSON. */
  readonly recipe: string;
}

/** The format a file's extension stands for, or undefined. */
export function formatOfFile(file: string): VectorFormat | undefined {
  const extension = extname(file).slice(1).toLowerCase();
  if (extension === "ndjson") return "jsonl";
  return vectorFormats.find((format) => format === extension);
}

/** True if a format can only be written to a file, not to a pipe or a terminal. */
export function needsFile(format: VectorFormat): boolean {
  return format === "npy" || format === "parquet";
}

/** @param hiddenSize  length of every row */
export async function createVectorWriter(
  format: VectorFormat,
  sink: ByteSink,
  hiddenSize: number,
  origin: VectorOrigin,
): Promise<VectorWriter> {
  const writer = await writerOf(format, sink, hiddenSize, origin);
  let index = 0;
  return {
    ...writer,
    async write(embedding) {
      checkFinite(embedding, index);
      index++;
      await writer.write(embedding);
    },
  };
}

async function writerOf(
  format: VectorFormat,
  sink: ByteSink,
  hiddenSize: number,
  origin: VectorOrigin,
): Promise<VectorWriter> {
  switch (format) {
    case "jsonl":
      return rowWriter(sink, jsonlRows(hiddenSize, origin.recipeId));
    case "csv":
      return rowWriter(sink, csvRows(hiddenSize));
    case "npy":
      return rowWriter(sink, npyRows(hiddenSize));
    case "parquet":
      return (await import("./parquet.ts")).parquetWriter(sink, hiddenSize, origin);
  }
}

async function rowWriter(sink: ByteSink, encoder: RowEncoder): Promise<VectorWriter> {
  if (encoder.finalHeader && !sink.patch) {
    throw new InputError("bad-option", "This format is completed at its beginning: it needs a file one can seek in.");
  }
  const buffer = new RowBuffer(sink, encoder.maxRowBytes);
  let rows = 0;
  if (encoder.header) await sink.write(encoder.header);
  return {
    write: (embedding) => buffer.append((bytes, offset) => encoder.encode(rows++, embedding, bytes, offset)),
    flush: () => buffer.flush(),
    async end() {
      await buffer.flush();
      if (encoder.finalHeader) await sink.patch?.(encoder.finalHeader(rows), 0);
      await sink.close();
      return rows;
    },
  };
}

/** @throws ModelError "nan-output" naming the text and the first bad dimension */
export function checkFinite(embedding: Float32Array, index: number): void {
  for (let i = 0; i < embedding.length; i++) {
    if (!Number.isFinite(embedding[i])) {
      throw new ModelError(
        "nan-output",
        `input[${index}]: the vector holds ${embedding[i]} in dimension ${i}. ` +
          "The weights are damaged: pull the model again; or their precision is too coarse: try float32.",
      );
    }
  }
}
