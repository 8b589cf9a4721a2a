import type { EventEmitter } from "node:events";
import { exitCodes } from "./exit-codes.ts";

export interface Interrupt {
  readonly signal: AbortSignal;
  /** 130 or 143 once a signal has come. */
  exitCode(): number | undefined;
  stopListening(): void;
}

/**
 * The first SIGINT or SIGTERM aborts; the listeners then go, so that a second one ends the process at once. They go a
 * turn later: signal-exit (of proper-lockfile) ends the process itself if its listener finds no other one.
 */
export function listenForInterrupt(signals: EventEmitter): Interrupt {
  const controller = new AbortController();
  let exitCode: number | undefined;
  const stopListening = (): void => {
    signals.off("SIGINT", onInterrupt);
    signals.off("SIGTERM", onTerminate);
  };
  const stop = (code: number): void => {
    exitCode = code;
    setImmediate(stopListening);
    controller.abort();
  };
  const onInterrupt = (): void => stop(exitCodes.interrupted);
  const onTerminate = (): void => stop(exitCodes.terminated);
  signals.on("SIGINT", onInterrupt);
  signals.on("SIGTERM", onTerminate);
  return { signal: controller.signal, exitCode: () => exitCode, stopListening };
}
