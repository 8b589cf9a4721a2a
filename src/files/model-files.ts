/** The files of one model on this machine, found but not yet read. */
export interface ModelFiles {
  /** What the user asked for: `smollm2-135m`, a path, a hub id. */
  readonly name: string;
  readonly source: "path" | "cache" | "hf-cache" | "hub" | "package-index";
  readonly weights:
    | { readonly kind: "gguf"; readonly file: string }
    | { readonly kind: "safetensors"; readonly file: string }
    | { readonly kind: "safetensors-index"; readonly file: string };
  /** config.json; absent for GGUF, whose metadata say the same. */
  readonly config?: string;
  /** tokenizer.json, or vocab.json with merges.txt beside it; absent for GGUF, as is tokenizer_config.json. */
  readonly tokenizer?: string;
  readonly tokenizerConfig?: string;
  /**
   * What makes the weights these weights, for the recipe's id: `smollm2-135m@sha256:<hex>` for the pinned default,
   * `<owner>/<name>@<commit>` for the hub, `sha256:<hex>` of the weight files' contents for a local path.
   */
  readonly identity: string;
}
