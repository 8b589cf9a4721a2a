import { InternalError } from "../errors.ts";
import type { VectorSource } from "./vector-source.ts";

/** Characters of one call to a source: a few runs of the model, so that progress shows and a stop loses little. */
const chunkCharacters = 8192;

export interface EmbedProgress {
  readonly doneTexts: number;
  readonly totalTexts: number;
  /** Characters say better than texts what is still to do, since the longest come first. */
  readonly doneCharacters: number;
  readonly totalCharacters: number;
}

export interface EmbedTextsOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: EmbedProgress) => void;
}

export interface EmbeddedTexts {
  readonly vectors: ReadonlyMap<string, Float32Array>;
  readonly truncatedTexts: number;
  /** Spent on texts that were not at hand. */
  readonly embedSeconds: number;
}

/** Embeds every distinct text once, in chunks of similar length, the longest first. */
export async function embedTexts(
  source: VectorSource,
  texts: Iterable<string>,
  { signal, onProgress }: EmbedTextsOptions = {},
): Promise<EmbeddedTexts> {
  const distinct = [...new Set(texts)];
  const vectors = new Map<string, Float32Array>();
  const startedAt = performance.now();
  const totalCharacters = charactersOf(distinct);
  let [truncatedTexts, doneCharacters] = [0, 0];
  for (const chunk of chunksByLength(distinct)) {
    signal?.throwIfAborted();
    const embedded = await source.embed(chunk, signal);
    if (embedded.length !== chunk.length) {
      throw new InternalError("runtime", `${source.name}: ${embedded.length} vectors for ${chunk.length} texts.`);
    }
    for (const [i, { embedding, isTruncated }] of embedded.entries()) {
      vectors.set(chunk[i]!, embedding);
      if (isTruncated) truncatedTexts++;
    }
    doneCharacters += charactersOf(chunk);
    onProgress?.({ doneTexts: vectors.size, totalTexts: distinct.length, doneCharacters, totalCharacters });
  }
  return { vectors, truncatedTexts, embedSeconds: (performance.now() - startedAt) / 1000 };
}

function* chunksByLength(texts: readonly string[]): Generator<string[], void, undefined> {
  let chunk: string[] = [];
  let characters = 0;
  for (const text of texts.toSorted((a, b) => b.length - a.length)) {
    chunk.push(text);
    characters += text.length + 1;
    if (characters < chunkCharacters) continue;
    yield chunk;
    [chunk, characters] = [[], 0];
  }
  if (chunk.length > 0) yield chunk;
}

/** One more for each text, which has a template around it. */
const charactersOf = (texts: readonly string[]): number => texts.reduce((sum, text) => sum + text.length + 1, 0);
