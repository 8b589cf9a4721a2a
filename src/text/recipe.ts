import { createHash } from "node:crypto";

/** One in-context example: a sentence and the word that stands for it (PromptEOL, arXiv 2307.16645, section 3). */
export interface Demonstration {
  readonly sentence: string;
  readonly word: string;
}

/** The paper's clean-up, each step by name; they run in the order given. */
export type CleanUpStep = "trim" | "fullStop" | "singleQuotes" | "questionToFullStop";

/**
 * How the weights are held and multiplied. `stored`: as the file holds them, quantised blocks included; `float32`:
 * everything widened; `float16`: weights and activations, with norms and softmax in float32; `int8`: 8-bit weights and activations; `int4`: 4-bit blocks of 32 with 8-bit activations; `nf4`:
 * 4-bit NormalFloat blocks of 64 with float32 activations (QLoRA, arXiv 2305.14314).
 */
export const precisions = ["stored", "float32", "float16", "int8", "int4", "nf4"] as const;
export type Precision = (typeof precisions)[number];

/**
 * What is read: the prompt's last token, or a mean over the tokens of the sentence (of its last copy), plain or with
 * weights 1, 2, 3 … (SGPT, arXiv 2202.08904).
 */
export const poolings = ["lastToken", "mean", "weightedMean"] as const;
export type Pooling = (typeof poolings)[number];

/** Before layers fromLayer up to toLayer − 1 the placeholder's state becomes the last token's. See variants/token-prepending.ts. */
export interface TokenPrepending {
  readonly fromLayer: number;
  readonly toLayer: number;
}

/** x − mean, and then its parts along some directions scaled; fitted on unlabelled text. See embed/whitening.ts. */
export interface Whitening {
  /** float32 [hiddenSize], little-endian, base64 */
  readonly mean: string;
  /** float32 [scales, hiddenSize], likewise; rows of length 1 at right angles */
  readonly directions: string;
  readonly scales: readonly number[];
}

/**
 * Everything that makes a vector reproducible; plain JSON. Two equal recipes give equal vectors. The optional fields are
 * left out where they say nothing, so that a recipe keeps its id when a new one is invented.
 */
export interface Recipe {
  /** Identity of the weights, see ModelFiles.identity. */
  readonly model: string;
  /** With a `{text}` slot. The vectors of several templates are averaged. */
  readonly template: string | readonly string[];
  readonly cleanUp: readonly CleanUpStep[];
  readonly demonstrations: readonly Demonstration[];
  /** Hidden state to read: 0 the token embeddings, "last" (or numLayers) the last layer after the final norm. */
  readonly layer: number | "last";
  /** Scale every vector to length 1. */
  readonly normalize: boolean;
  readonly precision: Precision;
  /** Identity of the LoRA adapter on the weights, see Adapter.identity, or null. */
  readonly adapter: string | null;
  /** The last token by default. */
  readonly pooling?: Pooling;
  /** Needs a template with {placeholder}. */
  readonly tokenPrepending?: TokenPrepending;
  /** How much of the template's own vector, that of the template around nothing, is taken away. */
  readonly subtractTemplate?: number;
  /** Applied last, before the scaling to length 1. */
  readonly whitening?: Whitening;
}

/** A recipe in the making; `template` may be a name of `templates`. */
export type RecipeOptions = Partial<Recipe>;

/** Stable name of a recipe: 16 hexadecimal digits of the sha256 of its JSON with sorted keys. */
export function recipeId(recipe: Recipe): string {
  return createHash("sha256").update(canonicalJson(recipe)).digest("hex").slice(0, 16);
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`).join(",")}}`;
}
