import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { safetensorsPieces } from "../files/float-tensors.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { AdamW } from "./optimizer.ts";
import { FlatTensors } from "./parameters.ts";

test("a checkpoint that is cut, empty or none is told as such, with what to do", async () => {
  const folder = await mkdtemp(join(tmpdir(), "oneword-checkpoint-"));
  const file = join(folder, "checkpoint.safetensors");
  const [parameters, optimizer] = [new FlatTensors([{ name: "a", shape: [4, 4] }]), new AdamW(16)];
  await writeCheckpoint(file, { step: 1, best: null, fingerprint: "run" }, parameters, optimizer);
  expect(await readCheckpoint(file, "run", parameters, optimizer)).toMatchObject({ step: 1 });
  const whole = await readFile(file);
  await writeFile(file, safetensorsPieces([{ name: "a", shape: [1], values: Float32Array.of(1) }], "F32"));
  const none = await readFile(file);
  const state = JSON.stringify({ step: 1, best: null, fingerprint: "run" });
  const withState = async (json: string, length: number): Promise<Buffer> => {
    const tensors = ["parameters", "mean", "variance"].map((name) => ({
      name,
      shape: [length],
      values: new Float32Array(length),
    }));
    await writeFile(file, safetensorsPieces(tensors, "F32", { "oneword.run": json }));
    return readFile(file);
  };
  const [noJson, short] = [await withState("{bad", 16), await withState(state, 15)];
  for (const bytes of [whole.subarray(0, -20), whole.subarray(0, 30), Buffer.alloc(0), none, noJson, short]) {
    await writeFile(file, bytes);
    await expect(readCheckpoint(file, "run", parameters, optimizer)).rejects.toMatchObject({
      code: "corrupt-file",
      message: `${file} is damaged, or no checkpoint. Delete it and start anew with --resume, or choose another folder.`,
    });
  }
  await rm(folder, { recursive: true });
});
