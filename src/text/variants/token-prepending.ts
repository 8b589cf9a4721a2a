import type { RecipeOptions } from "../recipe.ts";

/**
 * Token Prepending: before each of some early layers the state of a placeholder in front of the sentence is overwritten
 * by the last token's, so that every token of the sentence can see what the prompt has made of it so far (ACL 2025, arXiv
 * 2412.11556). Layers 1 to 6 are the settings for LLaMA-2-7B in fuyuchenIfyw/token_prepending.
 */
export const tokenPrepending: RecipeOptions = {
  template: 'This sentence : {placeholder} "{text}" means in one word:"',
  tokenPrepending: { fromLayer: 1, toLayer: 7 },
};
