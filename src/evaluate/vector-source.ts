import type { EmbeddingModel, EmbedOptions } from "../embed/embedding-model.ts";
import { InputError } from "../errors.ts";
import type { Recipe } from "../text/recipe.ts";

export interface SourcedVector {
  /** [hiddenSize] */
  readonly embedding: Float32Array;
  /** Whether only a part of the text is in it. */
  readonly isTruncated: boolean;
}

/** Whatever turns texts into vectors: a model here, a server, a file. */
export interface VectorSource {
  readonly name: string;
  /** Names everything a vector depends on besides its text; null where that is unknown, so that nothing is kept. */
  readonly id: string | null;
  /** Of a model here. */
  readonly recipe?: Recipe;
  /** @returns one vector for each text, in order */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<SourcedVector[]>;
}

/** The model itself as a source. */
export function modelSource(model: EmbeddingModel, options: Omit<EmbedOptions, "signal"> = {}): VectorSource {
  return {
    name: model.name,
    id: `${model.recipeId}-${model.graphId}`,
    recipe: model.recipe,
    async embed(texts, signal) {
      const vectors: SourcedVector[] = [];
      const stream = model.embedStream(texts, { ...options, ...(signal ? { signal } : {}) });
      try {
        for await (const { embedding, truncatedTokens } of stream) {
          vectors.push({ embedding, isTruncated: truncatedTokens > 0 });
        }
      } catch (error) {
        throw namingText(error, texts);
      }
      return vectors;
    },
  };
}

/** A text that is too long by its beginning: its place among those that are embedded together says nothing to anyone. */
function namingText(error: unknown, texts: readonly string[]): unknown {
  const [, place, rest] = (error instanceof InputError && /^input\[(\d+)\](.*)$/s.exec(error.message)) || [];
  const text = texts[Number(place)];
  if (!(error instanceof InputError) || text === undefined) return error;
  return new InputError(error.code, `the text ${quotedStart(text)}${rest}`, { cause: error });
}

/** The beginning of a text, to name it by. */
export const quotedStart = (text: string): string => JSON.stringify(text.slice(0, 80));
