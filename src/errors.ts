/**
 * Every error the package throws on purpose. The class says who must act, the code is stable and can be switched on,
 * the message says what was wrong, where, and what to do. Exit codes and HTTP statuses are chosen at the edge.
 */
export abstract class OnewordError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

export type InputErrorCode =
  | "aborted"
  | "bad-option"
  | "batch-too-small"
  | "bad-row"
  | "bad-recipe"
  | "bad-template"
  | "closed"
  | "data-not-found"
  | "diverged"
  | "empty-text"
  | "file-not-found"
  | "not-utf8"
  | "bad-json"
  | "missing-field"
  | "too-long"
  | "token-out-of-range";

/** Message of an InputError "aborted" that has no more to say. */
export const stoppedByCaller = "stopped by the caller's signal.";

/** The caller can put it right: a text, an option, a file of texts. */
export class InputError extends OnewordError {
  declare readonly code: InputErrorCode;
  constructor(code: InputErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

export type ModelErrorCode =
  | "architecture"
  | "checksum"
  | "config"
  | "corrupt-file"
  | "model-not-found"
  | "nan-output"
  | "offline"
  | "download"
  | "tokenizer"
  | "unsupported-type"
  | "weight-missing"
  | "weight-shape";

/** Whoever chose the model's files can put it right: another checkpoint, another download, another config.json. */
export class ModelError extends OnewordError {
  declare readonly code: ModelErrorCode;
  constructor(code: ModelErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

export type CapacityErrorCode = "disk-full" | "locked";

/** The machine is the limit: wait, or ask for less. */
export class CapacityError extends OnewordError {
  declare readonly code: CapacityErrorCode;
  constructor(code: CapacityErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}

export type InternalErrorCode = "graph" | "runtime";

/** A defect of this package. */
export class InternalError extends OnewordError {
  declare readonly code: InternalErrorCode;
  constructor(code: InternalErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}
