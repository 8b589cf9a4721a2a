import { readFile } from "node:fs/promises";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { ModelError } from "../errors.ts";
import { ggufTokenizer } from "./gguf-tokenizer.ts";

/** Text to token ids, as the model was trained on them. */
export interface Tokenizer {
  /**
   * Ids with the model's own token in front (LLaMA `<s>`, OPT `</s>`, SmolLM2 none) and never one behind. Text that
   * spells a special token becomes that token, as in transformers.
   */
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
  /** Ids put in front of every text. */
  readonly bosIds: readonly number[];
}

type Json = Record<string, unknown>;

/**
 * Reads tokenizer.json, and from tokenizer_config.json whether a token goes in front.
 * @throws ModelError "tokenizer" for files that are no tokenizer
 */
export async function loadTokenizer(file: string, configFile?: string): Promise<Tokenizer> {
  const json = await readJson(file);
  const config = configFile ? await readJson(configFile) : {};
  return orDamaged(file, () => {
    const library = new Library({ added_tokens: [], ...json }, config);
    return createTokenizer(library, frontIds(library, config));
  });
}

/**
 * Builds the tokenizer from a GGUF file's metadata.
 * @throws ModelError "tokenizer" for a vocabulary or pre-tokenizer that is not known, which is never guessed
 */
export function tokenizerFromGguf(metadata: Readonly<Json>, source: string): Tokenizer {
  const { json, tables, bosIds } = ggufTokenizer(metadata, source);
  return orDamaged(source, () => {
    const vocab: Record<string, number> = Object.create(null);
    tables.tokens.forEach((token, id) => {
      vocab[token] = id;
    });
    const model = { ...(json.model as Json), vocab, merges: tables.merges };
    return createTokenizer(new Library({ ...json, model }, {}), bosIds);
  });
}

async function readJson(file: string): Promise<Json> {
  const text = await readFile(file, "utf8").catch((cause: Error) => {
    throw new ModelError("tokenizer", `${file} cannot be read: ${cause.message}.`, { cause });
  });
  return orDamaged(file, () => {
    const json: unknown = JSON.parse(text);
    if (isObject(json)) return json;
    throw new Error("it is not a JSON object");
  });
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The library throws whatever comes first when a file is not as it should be. */
function orDamaged<T>(source: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `${source}: no tokenizer can be made of it (${reason}). Download the model again.`;
    throw new ModelError("tokenizer", message, { cause });
  }
}

function createTokenizer(library: Library, bosIds: readonly number[]): Tokenizer {
  const plain = (text: string): number[] => library.encode(text, { add_special_tokens: false }).ids;
  if (![...bosIds, ...plain("a b")].every((id) => Number.isInteger(id) && id >= 0)) {
    throw new Error("it gives something else than ids");
  }
  return {
    bosIds,
    encode: (text) => (bosIds.length > 0 ? bosIds.concat(plain(text)) : plain(text)),
    decode: (ids) => library.decode([...ids]),
  };
}

/** The config's add_bos_token decides where it is true or false, else what the post-processor puts in front. */
function frontIds(library: Library, config: Json): number[] {
  if (config.add_bos_token === false) return [];
  const bos = isObject(config.bos_token) ? config.bos_token.content : config.bos_token;
  if (config.add_bos_token === true && typeof bos === "string") {
    const id = library.token_to_id(bos);
    if (id === undefined) throw new Error(`its bos_token ${JSON.stringify(bos)} is not in the vocabulary`);
    return [id];
  }
  const word: number[] = library.encode("a", { add_special_tokens: false }).ids;
  const processed: number[] = library.encode("a").ids;
  const start = processed.findIndex((_, i) => word.every((id, j) => processed[i + j] === id));
  return processed.slice(0, Math.max(0, start));
}
