/** What a model can be written for. */
export const exportFormats = ["safetensors", "sentence-transformers", "gguf"] as const;
export type ExportFormat = (typeof exportFormats)[number];
