import type { JsonObject } from "../files/json.ts";
import { shown } from "./shown.ts";

/** A part of a tokenizer.json. */
export type TokenizerPart = JsonObject;

const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const llama3Pattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const qwen2Pattern = llama3Pattern.replace("\\p{N}{1,3}", "\\p{N}");

const upper = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const lower = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const casedWords = (suffix: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${upper}*${lower}+${suffix}|[^\\r\\n\\p{L}\\p{N}]?${upper}+${lower}*${suffix}`;
const marksAndSpaces = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const tekkenPattern = `${casedWords("")}|\\p{N}|${marksAndSpaces}`;
const gpt4oPattern = `${casedWords("(?i:'s|'t|'re|'ve|'m|'ll|'d)?")}|\\p{N}{1,3}|${marksAndSpaces}`;

const split = (pattern: string): TokenizerPart => ({
  type: "Split",
  pattern: { Regex: pattern },
  behavior: "Isolated",
  invert: false,
});
export const bytes: TokenizerPart = {
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: false,
};
const sequence = (...pretokenizers: TokenizerPart[]): TokenizerPart => ({ type: "Sequence", pretokenizers });

/** How text is cut into words before merging, and what else hangs on `tokenizer.ggml.pre`. */
export interface PreTokenizer {
  readonly preTokenizer: TokenizerPart;
  readonly normalizer?: TokenizerPart;
  /** A word that is itself a token is not merged from its parts. */
  readonly ignoreMerges?: boolean;
  /** Whether the first token goes in front where the file does not say. */
  readonly addBos?: boolean;
}

const nfc = { type: "NFC" };
const gpt2: PreTokenizer = { preTokenizer: sequence(split(gpt2Pattern), bytes) };
const singleDigits: PreTokenizer = { preTokenizer: sequence(split("\\p{N}"), split(gpt2Pattern), bytes) };
const llama3: PreTokenizer = {
  preTokenizer: sequence(split(llama3Pattern), bytes),
  ignoreMerges: true,
  addBos: true,
};
const qwen2: PreTokenizer = { preTokenizer: sequence(split(qwen2Pattern), bytes), normalizer: nfc };
const gpt4o: PreTokenizer = { preTokenizer: sequence(split(gpt4oPattern), bytes) };

/**
 * Values of `tokenizer.ggml.pre`, as the models' own tokenizer.json files have them.
 * @see llama.cpp, src/llama-vocab.cpp, and transformers, integrations/gguf/gguf_tokenizer_mapping.py
 */
export const preTokenizers: ReadonlyMap<string, PreTokenizer> = new Map([
  ["gpt-2", gpt2],
  ["phi-2", gpt2],
  ["smollm", singleDigits],
  ["starcoder", singleDigits],
  ["refact", singleDigits],
  ["command-r", { ...singleDigits, normalizer: nfc }],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["llama-bpe", llama3],
  ["qwen2", qwen2],
  ["deepseek-r1-qwen", qwen2],
  ["tekken", { preTokenizer: sequence(split(tekkenPattern), bytes), ignoreMerges: true, addBos: true }],
  ["gpt-4o", gpt4o],
  ["llama4", gpt4o],
]);

/** The name under which GGUF knows these parts of a tokenizer.json; null where it has none. */
export function preTokenizerName(preTokenizer: unknown, normalizer: unknown, ignoreMerges: boolean): string | null {
  const form = (cuts: unknown, normal: unknown, ignores: boolean | undefined): string =>
    JSON.stringify([
      exactPreTokenizer(cuts).map(cutForm),
      flattenParts(normal).map(({ type }) => type),
      ignores === true,
    ]);
  const sought = form(preTokenizer, normalizer, ignoreMerges);
  for (const [name, known] of preTokenizers) {
    if (form(known.preTokenizer, known.normalizer, known.ignoreMerges) === sought) return name;
  }
  return null;
}

/** What of a part decides the cuts. */
const cutForm = ({ type, pattern, behavior, invert, use_regex, add_prefix_space }: TokenizerPart): unknown =>
  type === "Split" ? [type, pattern, behavior, invert === true] : [type, use_regex, add_prefix_space];

/**
 * The same pre-tokenizer in parts, none of them a sequence, that cut exactly as the Rust original: the JavaScript library's own `Digits` takes
 * 0 to 9 alone for digits (Rust: every \p{N}), and its `ByteLevel` has JavaScript's white space (with U+FEFF, without
 * U+0085).
 */
export function exactPreTokenizer(part: unknown): TokenizerPart[] {
  return flattenParts(part).flatMap(exactParts);
}

/**
 * Refuses a pattern of no known kind, which the library would leave out with a line on the console: other cuts, other ids.
 * @throws Error with the pattern
 */
export function checkPatterns(part: unknown): void {
  if (typeof part !== "object" || part === null) return;
  for (const [key, value] of Object.entries(part)) {
    if (key !== "pattern" || isPattern(value)) checkPatterns(value);
    else throw new Error(`its pattern ${(JSON.stringify(value) ?? "undefined").slice(0, 80)} is of no known kind`);
  }
}

/**
 * Refuses what the JavaScript library does in another way than the Rust original, over texts of all kinds: other ids.
 * @throws Error with the part
 */
export function checkForms({ pre_tokenizer: cuts, normalizer, added_tokens: added }: TokenizerPart): void {
  const parts = [...flattenParts(cuts), ...flattenParts(normalizer)];
  const other = parts.find((part) => differsFromRust(part));
  if (other) throw new Error(`its part ${(JSON.stringify(other) ?? "").slice(0, 120)} would give other tokens here`);
  const words = (Array.isArray(added) ? (added as TokenizerPart[]) : []).find(
    ({ single_word: alone }) => alone === true,
  );
  if (words)
    throw new Error(`its token ${shown(words.content)} is one only as a word of its own, which is not supported`);
}

function differsFromRust({ type, behavior, invert, pattern, content }: TokenizerPart): boolean {
  const isRegex = typeof (pattern as TokenizerPart | undefined)?.Regex === "string";
  switch (type) {
    case "Split":
      if (behavior === "Removed") return !isRegex;
      return invert === true || behavior !== "Isolated";
    case "Punctuation":
      return behavior !== "Contiguous";
    case "Replace":
      return typeof content === "string" && /\$[$&`'\d<]/.test(content);
    default:
      return false;
  }
}

const isPattern = (value: unknown): boolean => {
  const { Regex, String: literal } = (value ?? {}) as TokenizerPart;
  return typeof Regex === "string" || typeof literal === "string";
};

export function flattenParts(part: unknown): TokenizerPart[] {
  if (part === null || part === undefined) return [];
  const { type, pretokenizers, normalizers } = part as TokenizerPart;
  if (type !== "Sequence") return [part as TokenizerPart];
  const parts = pretokenizers ?? normalizers;
  return Array.isArray(parts) ? parts.flatMap(flattenParts) : [];
}

function exactParts(part: TokenizerPart): TokenizerPart[] {
  if (part.type === "Digits") return [split(part.individual_digits === true ? "\\p{N}" : "\\p{N}+")];
  const cuts = part.type === "ByteLevel" && part.use_regex !== false && part.add_prefix_space === false;
  return cuts ? [split(gpt2Pattern), { ...part, use_regex: false }] : [part];
}
