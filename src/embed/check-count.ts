import { InputError } from "../errors.ts";

/** @throws InputError "bad-option" for an option that is given and is no whole number over 0 */
export function checkCount(name: string, count: number | undefined): void {
  if (count === undefined || (Number.isInteger(count) && count > 0)) return;
  throw new InputError("bad-option", `${name} is ${count}; it must be a whole number over 0.`);
}
