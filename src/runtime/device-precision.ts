import { InputError } from "../errors.ts";
import type { Checkpoint } from "../models/weights.ts";
import type { Precision } from "../text/recipe.ts";
import type { Device } from "./device.ts";

/** What a device computes in unless the caller says otherwise: all but the CPU are made for float16. */
export const defaultPrecision = (device: Device): Precision => (device === "cpu" ? "stored" : "float16");

const floatPrecisions: readonly Precision[] = ["stored", "float32", "float16"];

/**
 * Whether a device can be asked for a precision. Products with quantised weights are operators of the CPU
 * (MatMulIntegerToFloat, MatMulNBits with float zero points); on another device the runtime would silently
 * send every one of them back to it. nf4's product is not, but was never tried there.
 * @throws InputError "bad-option"
 */
export function checkPrecision(precision: Precision, device: Device): void {
  if (device === "cpu" || floatPrecisions.includes(precision)) return;
  throw new InputError(
    "bad-option",
    `precision ${precision} runs on the cpu only; ${device} takes float16 or float32.`,
  );
}

/**
 * The same for weights as a file holds them.
 * @throws InputError "bad-option" for quantised weights anywhere but on the CPU
 */
export function checkStoredWeights({ tensors, source }: Checkpoint, device: Device): void {
  const isDense = [...tensors.values()].every(({ kind }) => kind === "dense");
  if (device === "cpu" || isDense) return;
  const advice = `${device} takes float16 or float32: leave the precision out, or name one of them.`;
  throw new InputError("bad-option", `${source}: its weights are quantised, which runs on the cpu only. ${advice}`);
}
