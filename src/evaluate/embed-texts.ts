import { InputError, InternalError } from "../errors.ts";
import type { EmbeddingCache } from "./embedding-cache.ts";
import { quotedStart, type VectorSource } from "./vector-source.ts";

/** Characters of one call to a source: a few runs of the model, so that progress shows and a stop loses little. */
const chunkCharacters = 16_384;

export interface EmbeddingState {
  readonly doneTexts: number;
  readonly totalTexts: number;
  /** Characters say better than texts what is still to do, since the longest come first. */
  readonly doneCharacters: number;
  readonly totalCharacters: number;
}

export interface EmbedTextsOptions {
  readonly cache?: EmbeddingCache | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told before the first text, so that it knows the total, and after each chunk. */
  readonly onProgress?: ((progress: EmbeddingState) => void) | undefined;
}

/** How much was embedded, and how long that took. */
export interface EmbedCounts {
  readonly distinctTexts: number;
  /** Of those, at hand from earlier. */
  readonly cachedTexts: number;
  readonly truncatedTexts: number;
  /** Spent on the texts that were not at hand. */
  readonly embedSeconds: number;
}

export interface EmbeddedTexts extends EmbedCounts {
  readonly vectors: ReadonlyMap<string, Float32Array>;
}

/**
 * Embeds every distinct text once, in chunks of similar length, the longest first. A chunk is in the cache before the next
 * one begins, so that a stopped run goes on where it stopped.
 * @throws InputError "bad-row" for a vector with a number that is not finite, or of another length than the others
 */
export async function embedTexts(
  source: VectorSource,
  texts: Iterable<string>,
  { cache, signal, onProgress }: EmbedTextsOptions = {},
): Promise<EmbeddedTexts> {
  const distinct = [...new Set(texts)];
  const vectors = (await cache?.read(distinct)) ?? new Map<string, Float32Array>();
  const cachedTexts = vectors.size;
  const missing = distinct.filter((text) => !vectors.has(text));
  const totals = { totalTexts: missing.length, totalCharacters: charactersOf(missing) };
  const startedAt = performance.now();
  let width = vectors.values().next().value?.length;
  let [truncatedTexts, doneTexts, doneCharacters] = [0, 0, 0];
  onProgress?.({ doneTexts, doneCharacters, ...totals });
  for (const chunk of chunksByLength(missing)) {
    signal?.throwIfAborted();
    const embedded = await embedChunk(source, chunk, signal);
    for (const [text, { embedding }] of embedded) {
      width ??= embedding.length;
      checkVector(embedding, width, source, text);
      vectors.set(text, embedding);
    }
    const whole = [...embedded].filter(([, { isTruncated }]) => !isTruncated);
    await cache?.append(new Map(whole.map(([text, { embedding }]) => [text, embedding])));
    truncatedTexts += chunk.length - whole.length;
    doneTexts += chunk.length;
    doneCharacters += charactersOf(chunk);
    onProgress?.({ doneTexts, doneCharacters, ...totals });
  }
  const embedSeconds = (performance.now() - startedAt) / 1000;
  return { vectors, distinctTexts: distinct.length, cachedTexts, truncatedTexts, embedSeconds };
}

async function embedChunk(source: VectorSource, chunk: readonly string[], signal: AbortSignal | undefined) {
  const embedded = await source.embed(chunk, signal);
  if (embedded.length !== chunk.length) {
    throw new InternalError("runtime", `${source.name}: ${embedded.length} vectors for ${chunk.length} texts.`);
  }
  return new Map(chunk.map((text, i) => [text, embedded[i]!]));
}

function checkVector(embedding: Float32Array, width: number, { name }: VectorSource, text: string): void {
  const dimension = embedding.findIndex((value) => !Number.isFinite(value));
  if (dimension < 0 && embedding.length === width) return;
  const found =
    dimension < 0
      ? `${embedding.length} numbers, others have ${width}`
      : `${embedding[dimension]} in dimension ${dimension}`;
  throw new InputError("bad-row", `${name}: the vector of the text ${quotedStart(text)} has ${found}. Make it again.`);
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
