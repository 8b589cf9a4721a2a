import type { Architecture } from "./architecture.ts";
import { rotaryDecoderConfig } from "./config.ts";
import { llama } from "./llama.ts";

/** Qwen3: LLaMA with RMSNorm on every query and key head before the rotation (arXiv 2505.09388). */
export const qwen3: Architecture = {
  ...llama,
  modelType: "qwen3",
  transformersClass: "Qwen3Model",
  readConfig: rotaryDecoderConfig,
};
