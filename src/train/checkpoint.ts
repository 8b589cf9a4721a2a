import { stat } from "node:fs/promises";
import { InputError, ModelError } from "../errors.ts";
import { readFloats, safetensorsPieces } from "../files/float-tensors.ts";
import { replaceFile } from "../files/replace-file.ts";
import { readMetadata, readSafetensors } from "../files/safetensors.ts";
import type { AdamW } from "./optimizer.ts";
import type { FlatTensors } from "./parameters.ts";

/** Where a run stands, besides its numbers. The data's position follows from the step and the seed. */
export interface RunState {
  /** Steps done. */
  readonly step: number;
  /** Best development score so far and the step it was reached after; null before the first evaluation. */
  readonly best: { readonly score: number; readonly step: number } | null;
  /** Of everything that makes the run what it is: another one cannot go on from here. */
  readonly fingerprint: string;
}

const stateKey = "oneword.run";

/**
 * Writes a checkpoint: one safetensors file with the adapter and the optimizer's moments, the state in its metadata. It
 * appears as a whole or not at all, over the one before.
 * @throws CapacityError "disk-full"; the checkpoint before is untouched
 */
export async function writeCheckpoint(
  file: string,
  state: RunState,
  parameters: FlatTensors,
  { mean, variance }: AdamW,
): Promise<void> {
  const flat = (name: string, values: Float32Array) => ({ name, shape: [values.length], values });
  const tensors = [flat("parameters", parameters.values), flat("mean", mean), flat("variance", variance)];
  await replaceFile(file, safetensorsPieces(tensors, "F32", { [stateKey]: JSON.stringify(state) }));
}

/**
 * Reads a checkpoint into the run's numbers.
 * @returns null where there is none
 * @throws InputError "bad-option" where it belongs to another run; ModelError "corrupt-file" where it is cut or none at all
 */
export async function readCheckpoint(
  file: string,
  fingerprint: string,
  parameters: FlatTensors,
  optimizer: AdamW,
): Promise<RunState | null> {
  const isAbsent = await stat(file).then(
    () => false,
    ({ code }: NodeJS.ErrnoException) => code === "ENOENT",
  );
  if (isAbsent) return null;
  const { state, tensors } = await readParts(file);
  if (state.fingerprint !== fingerprint) {
    throw new InputError(
      "bad-option",
      `${file} belongs to a run with other options or other data: ${state.fingerprint} there, ${fingerprint} here. ` +
        "Resume with the options it was started with, or choose another output folder.",
    );
  }
  const parts = { parameters: parameters.values, mean: optimizer.mean, variance: optimizer.variance };
  for (const [name, values] of Object.entries(parts)) {
    const entry = tensors.get(name);
    if (entry?.shape.length !== 1 || entry.shape[0] !== values.length) throw unreadable(file);
    values.set(await readFloats(entry));
  }
  optimizer.step = state.step;
  return state;
}

async function readParts(file: string) {
  try {
    const state = JSON.parse((await readMetadata(file))[stateKey] ?? "null") as RunState | null;
    if (state) return { state, tensors: await readSafetensors(file) };
  } catch (error) {
    if (!(error instanceof ModelError || error instanceof SyntaxError)) throw error;
    throw unreadable(file, error);
  }
  throw unreadable(file);
}

const unreadable = (file: string, cause?: unknown): ModelError =>
  new ModelError(
    "corrupt-file",
    `${file} is damaged, or no checkpoint. Delete it and start anew with --resume, or choose another folder.`,
    { cause },
  );
