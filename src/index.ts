export type { EmbeddingModel, EmbedOptions, RunStatistics, StreamedEmbedding } from "./embed/embedding-model.ts";
export { type LoadOptions, type LoadProgress, load } from "./embed/load.ts";
export { cosineSimilarity } from "./embed/pooling.ts";
export { CapacityError, InputError, InternalError, ModelError, OnewordError } from "./errors.ts";
export type { CleanUpStep, Demonstration, Precision, Recipe, RecipeOptions } from "./text/recipe.ts";
