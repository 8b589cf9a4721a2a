import type { EmbeddingModel, EmbedOptions } from "../embed/embedding-model.ts";
import type { Demonstration } from "../text/recipe.ts";

/** Tokens that are looked at for a whole word. */
const lookedAt = 20;

/**
 * Texts as candidates for demonstrations, each with the word that the model itself finds for it: the most probable token
 * that is a word of three letters and more, with a capital as in the paper's. Texts without one are left out.
 */
export async function proposeWords(
  model: EmbeddingModel,
  texts: readonly string[],
  embed: EmbedOptions = {},
): Promise<Demonstration[]> {
  const explained = await model.explain(texts, { truncate: true, ...embed, count: lookedAt });
  return texts.flatMap((sentence, i) => {
    const word = explained[i]!.map(({ text }) => text.trim()).find((text) => /^\p{L}{3,}$/u.test(text));
    return word === undefined ? [] : [{ sentence, word: word[0]!.toUpperCase() + word.slice(1) }];
  });
}
