/** One in-context example: a sentence and the word that stands for it (PromptEOL, arXiv 2307.16645, section 3). */
export interface Demonstration {
  readonly sentence: string;
  readonly word: string;
}

/** The paper's clean-up, each step by name; they run in this order. */
export type CleanUpStep = "trim" | "fullStop" | "singleQuotes" | "questionToFullStop";

/** `stored`: weights as the file holds them, quantised blocks included. `float32`: everything widened to float32. */
export type Precision = "float32" | "stored";

/** Everything that makes a vector reproducible; plain JSON. Two equal recipes give equal vectors. */
export interface Recipe {
  /** Identity of the weights, see ModelFiles.identity. */
  readonly model: string;
  /** Exactly one `{text}` slot. */
  readonly template: string;
  readonly cleanUp: readonly CleanUpStep[];
  readonly demonstrations: readonly Demonstration[];
  /** Hidden state to read: 0 the token embeddings, numLayers the last layer; "last" after the final norm. */
  readonly layer: number | "last";
  /** Scale every vector to length 1. */
  readonly normalize: boolean;
  readonly precision: Precision;
  /** Identity of an adapter merged into the weights, or null. */
  readonly adapter: string | null;
}
