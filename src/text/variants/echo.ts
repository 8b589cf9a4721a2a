import type { RecipeOptions } from "../recipe.ts";

/**
 * Echo embeddings: the text stands twice, and the mean is taken over the second copy, whose tokens have seen the whole
 * text (arXiv 2402.15449). Twice the tokens.
 * @see jakespringer/echo-embeddings
 */
export const echo: RecipeOptions = { template: "Document:{text}\nDocument again:{text}", pooling: "mean" };
