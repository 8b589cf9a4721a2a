import { CapacityError, InputError, InternalError, ModelError, type OnewordError } from "../errors.ts";

/** An error as it goes from a worker thread to the one that started it: a message between threads keeps no class. */
export interface ThreadError {
  readonly name: string;
  readonly code: string | undefined;
  readonly message: string;
}

const classes = { InputError, ModelError, CapacityError, InternalError };

export function packError(error: unknown): ThreadError {
  const { name, code, message } = error as NodeJS.ErrnoException;
  return { name: name ?? "Error", code, message: message ?? String(error) };
}

/** The error again, of the class it had; the system's own, such as ENOSPC, keep their code. */
export function unpackError({ name, code, message }: ThreadError): Error {
  const Class = Object.hasOwn(classes, name) ? classes[name as keyof typeof classes] : undefined;
  const Known = Class as (new (code: string | undefined, message: string) => OnewordError) | undefined;
  return Known ? new Known(code, message) : Object.assign(new Error(message), { code });
}
