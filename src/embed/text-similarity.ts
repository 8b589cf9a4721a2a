import type { EmbeddingModel, EmbedOptions } from "./embedding-model.ts";
import { cosineSimilarity } from "./pooling.ts";

/** Cosine of the embeddings of two texts. */
export async function textSimilarity(
  model: Pick<EmbeddingModel, "embed">,
  a: string,
  b: string,
  options: EmbedOptions,
): Promise<number> {
  const [x, y] = await model.embed([a, b], options);
  return cosineSimilarity(x!, y!);
}
