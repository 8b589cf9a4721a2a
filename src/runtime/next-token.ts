import type { Graph } from "../graph/graph.ts";
import { nextTokenNames } from "../models/build-next-token.ts";
import { Session, type SessionOptions, Tensor } from "./session.ts";

/** Scores of every token of the vocabulary as the next one after some embeddings of the last layer. [batch][vocabSize] */
export async function nextTokenScores(
  graph: Graph,
  embeddings: readonly Float32Array[],
  options: SessionOptions = {},
): Promise<Float32Array[]> {
  const session = await Session.create(graph, options);
  try {
    const rows: Float32Array[] = [];
    for (const embedding of embeddings) {
      const feeds = { [nextTokenNames.embedding]: new Tensor("float32", embedding, [1, embedding.length]) };
      const { [nextTokenNames.scores]: scores } = await session.run(feeds, [nextTokenNames.scores]);
      rows.push(scores!.data as Float32Array);
    }
    return rows;
  } finally {
    await session.close();
  }
}
