import type { Architecture } from "./architecture.ts";
import { rotaryDecoderConfig } from "./config.ts";
import { llama } from "./llama.ts";

/** Qwen2: LLaMA with biases on the query, key and value projections (arXiv 2407.10671). */
export const qwen2: Architecture = {
  ...llama,
  modelType: "qwen2",
  transformersClass: "Qwen2Model",
  readConfig: rotaryDecoderConfig,
};
