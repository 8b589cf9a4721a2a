import type { Architecture } from "./architecture.ts";
import { rotaryDecoderConfig } from "./config.ts";
import { llama } from "./llama.ts";

/** Mistral: LLaMA with sliding-window attention, which is full attention up to the window's length (arXiv 2310.06825). */
export const mistral: Architecture = {
  ...llama,
  modelType: "mistral",
  transformersClass: "MistralModel",
  readConfig: rotaryDecoderConfig,
};
