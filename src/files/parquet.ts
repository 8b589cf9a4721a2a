import type { SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { ByteSink } from "./row-buffer.ts";
import type { VectorOrigin, VectorWriter } from "./vector-writer.ts";

/** Values of one row group: 2 MB of float32, some 30 MB of JavaScript numbers and levels while it is encoded. */
const valuesPerRowGroup = 1 << 19;

const schema: SchemaElement[] = [
  { name: "root", num_children: 2 },
  { name: "index", type: "INT32", repetition_type: "REQUIRED" },
  { name: "embedding", repetition_type: "REQUIRED", converted_type: "LIST", num_children: 1 },
  { name: "list", repetition_type: "REPEATED", num_children: 1 },
  { name: "element", type: "FLOAT", repetition_type: "REQUIRED" },
];

/** The keys of the file's own metadata that say what the vectors are of. */
const metadata = ({ model, recipeId, recipe }: VectorOrigin) => [
  { key: "oneword.model", value: model },
  { key: "oneword.recipe_id", value: recipeId },
  { key: "oneword.recipe", value: recipe },
];

/**
 * Columns `index` (int32) and `embedding` (list of float32), neither nullable. Floats of embeddings hardly compress, so
 * they are stored plain.
 */
export function parquetWriter(sink: ByteSink, hiddenSize: number, origin: VectorOrigin): VectorWriter {
  const rowsPerGroup = Math.max(1, Math.floor(valuesPerRowGroup / Math.max(1, hiddenSize)));
  const bytes = new ByteWriter();
  const parquet = new ParquetWriter({
    writer: bytes,
    schema,
    codec: "UNCOMPRESSED",
    statistics: false,
    kvMetadata: metadata(origin),
  });
  let group: number[][] = [];
  let rows = 0;

  async function drain(): Promise<void> {
    const ready = bytes.getBytes().slice();
    bytes.index = 0;
    if (ready.length > 0) await sink.write(ready);
  }
  async function writeGroup(): Promise<void> {
    if (group.length === 0) return;
    const embeddings = group;
    const index = Int32Array.from({ length: embeddings.length }, (_, i) => rows - embeddings.length + i);
    group = [];
    await parquet.write({
      columnData: [
        { name: "index", data: index, encoding: "PLAIN", offsetIndex: false },
        { name: "embedding", data: embeddings, encoding: "PLAIN", offsetIndex: false },
      ],
      rowGroupSize: embeddings.length,
    });
    await drain();
  }

  return {
    async write(embedding) {
      group.push(Array.from(embedding));
      rows++;
      if (group.length >= rowsPerGroup) await writeGroup();
    },
    flush: async () => {},
    async end() {
      await writeGroup();
      parquet.finish();
      await drain();
      await sink.close();
      return rows;
    },
  };
}
