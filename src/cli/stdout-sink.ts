import type { Writable } from "node:stream";
import { CapacityError } from "../errors.ts";
import { isDiskFull } from "../files/disk-full.ts";
import type { ByteSink } from "../files/row-buffer.ts";
import { OutputClosed } from "./exit-codes.ts";

const closedCodes = new Set(["EPIPE", "ERR_STREAM_DESTROYED", "ERR_STREAM_WRITE_AFTER_END", "ECONNRESET"]);

/**
 * Writes and waits until it is taken: that is the backpressure.
 * @throws OutputClosed when the reader is gone; CapacityError "disk-full"
 */
export function writeTo(stream: Writable, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(data, (error) => (error ? reject(outputError(error)) : resolve()));
  });
}

function outputError(error: NodeJS.ErrnoException): Error {
  if (closedCodes.has(error.code ?? "")) return new OutputClosed("standard output was closed", { cause: error });
  if (!isDiskFull(error)) return error;
  return new CapacityError("disk-full", "standard output: no space left on the disk.", { cause: error });
}

/** A sink for a stream that is not ours to close. */
export function stdoutSink(stream: Writable): ByteSink {
  return { write: (bytes) => writeTo(stream, bytes), close: async () => {}, discard: async () => {} };
}
