export type {
  EmbeddingModel,
  EmbedOptions,
  ExplainOptions,
  RunStatistics,
  StreamedEmbedding,
  StreamedWords,
} from "./embed/embedding-model.ts";
export { type LoadOptions, type LoadProgress, load } from "./embed/load.ts";
export { cosineSimilarity } from "./embed/pooling.ts";
export type { Word } from "./embed/top-words.ts";
export { CapacityError, InputError, InternalError, ModelError, OnewordError } from "./errors.ts";
export type {
  CleanUpStep,
  Demonstration,
  Pooling,
  Precision,
  Recipe,
  RecipeOptions,
  TokenPrepending,
  Whitening,
} from "./text/recipe.ts";
