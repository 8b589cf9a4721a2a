import { ModelError } from "../errors.ts";
import type { Architecture } from "./architecture.ts";
import type { ConfigJson } from "./config.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { opt } from "./opt.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";

/** Every architecture there is, by `model_type`. A new one is a file beside this and a line here. */
export const architectures: ReadonlyMap<string, Architecture> = new Map(
  [llama, mistral, opt, qwen2, qwen3].map((architecture) => [architecture.modelType, architecture]),
);

/** @throws ModelError "architecture" that lists the known ones */
export function findArchitecture(json: ConfigJson, source: string): Architecture {
  const architecture = architectures.get(json.model_type as string);
  if (architecture) return architecture;
  throw new ModelError(
    "architecture",
    `${source}: model_type ${JSON.stringify(json.model_type)} is not known; known: ${[...architectures.keys()].join(", ")}. ` +
      "docs/architectures.md shows how to add one.",
  );
}
