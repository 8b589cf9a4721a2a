import { join } from "node:path";
import { cacheFolder } from "../files/cache-folder.ts";
import { packageVersion } from "../files/package-version.ts";
import { textKey, VectorSegments } from "../files/vector-segments.ts";
import type { VectorSource } from "./vector-source.ts";

/** Vectors on disk, by what made them and by text. */
export interface EmbeddingCache {
  /** Those of `texts` that are there. */
  read(texts: readonly string[]): Promise<Map<string, Float32Array>>;
  append(vectors: ReadonlyMap<string, Float32Array>): Promise<void>;
  close(): Promise<void>;
}

/**
 * The cache of a source, in `embeddings/<id>-<version>`: another version of this package may make other prompts and tokens.
 * @returns undefined for a source that does not name itself
 */
export function embeddingCache({ id }: VectorSource, cacheDir?: string): EmbeddingCache | undefined {
  if (id === null) return undefined;
  const segments = new VectorSegments(join(cacheFolder(cacheDir), "embeddings", `${id}-${packageVersion()}`));
  return {
    async read(texts) {
      const byKey = new Map(texts.map((text) => [textKey(text), text]));
      const found = new Map<string, Float32Array>();
      for await (const { key, vector } of segments.read((key) => byKey.has(key))) found.set(byKey.get(key)!, vector);
      return found;
    },
    append: (vectors) => segments.append(Array.from(vectors, ([text, vector]) => ({ key: textKey(text), vector }))),
    close: () => segments.close(),
  };
}
