import type { RecipeOptions } from "../recipe.ts";

/**
 * The template's own vector, that of the template around nothing, is taken away from every vector, so that what all
 * prompts share does not count as likeness. A constant form of Contrastive Prompting (ACL 2025, arXiv 2505.12831), which
 * steers away from a second prompt's state; costs one prompt for all texts.
 */
export const subtractTemplate: RecipeOptions = { subtractTemplate: 1 };
