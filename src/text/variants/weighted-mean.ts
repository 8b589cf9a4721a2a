import type { RecipeOptions } from "../recipe.ts";

/**
 * SGPT: the bare text, and the mean of its tokens' states with weights that grow with the position, since later tokens
 * have seen more of it (arXiv 2202.08904).
 */
export const weightedMean: RecipeOptions = { template: "{text}", pooling: "weightedMean" };
