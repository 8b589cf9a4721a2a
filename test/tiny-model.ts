import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type FloatTensor, readFloats, safetensorsPieces } from "../src/files/float-tensors.ts";
import { readSafetensors } from "../src/files/safetensors.ts";

const fixtures = resolve(import.meta.dirname, "fixtures");

const vocabSize = 640; // the tokenizers have more ids than the golden models have rows

export interface TinyModelOptions {
  /** A folder of golden/, llama by default. */
  readonly architecture?: string;
  /** A folder of tokenizers/, llama by default. */
  readonly tokenizer?: string;
  /** All weights are multiplied by it. */
  readonly factor?: number;
  /** Of the numbers in the file, F32 by default. */
  readonly type?: "F32" | "F16";
}

/** A whole small model with random weights in `folder`. */
export async function writeTinyModel(folder: string, options: TinyModelOptions = {}): Promise<void> {
  const { architecture = "llama", tokenizer = "llama", factor = 1, type = "F32" } = options;
  const golden = join(fixtures, "golden", architecture);
  const config = JSON.parse(readFileSync(join(golden, "config.json"), "utf8"));
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, vocab_size: vocabSize }));
  cpSync(join(fixtures, "tokenizers", tokenizer, "tokenizer.json"), join(folder, "tokenizer.json"));
  const tensors: FloatTensor[] = [];
  for (const [name, entry] of await readSafetensors(join(golden, "model.safetensors"))) {
    const values = (await readFloats(entry)).map((value) => value * factor);
    if (!name.endsWith("embed_tokens.weight")) tensors.push({ name, shape: entry.shape, values });
    else {
      const width = entry.shape[1]!;
      const rows = Float32Array.from({ length: vocabSize * width }, (_, i) => values[i % values.length]!);
      tensors.push({ name, shape: [vocabSize, width], values: rows });
    }
  }
  await writeFile(join(folder, "model.safetensors"), safetensorsPieces(tensors, type));
}

const things = ["dog", "cat", "man", "woman", "child", "bird", "horse", "girl"];
const acts = ["runs", "sleeps", "eats", "sings", "waits", "plays"];

/** Triples in SimCSE's columns, no text twice. */
export function writeTriples(file: string): void {
  const rows = things.flatMap((thing) =>
    acts.map((act) => [`A ${thing} ${act}.`, `The ${thing} ${act} here`, `No ${thing} ever ${act}`, `${act}-source`]),
  );
  const lines = [["sent0", "sent1", "hard_neg", "source"], ...rows].map((row) => row.join("\t"));
  writeFileSync(file, `${lines.join("\n")}\n`);
}
