import { CommanderError } from "commander";
import { InternalError, OnewordError, stoppedByCaller } from "../errors.ts";
import { exitCodes, OutputClosed, UsageError } from "./exit-codes.ts";

export interface ErrorReport {
  readonly exitCode: number;
  /** What goes to stderr, line ending included; empty for a quiet end. */
  readonly text: string;
}

const reportHint = "This is a defect of oneword: please report it (npm bugs oneword) with what ONEWORD_DEBUG=1 prints.";

/** One line and an exit code for whatever was thrown; ONEWORD_DEBUG=1 adds the stack and the causes. */
export function reportError(error: unknown, env: Readonly<Record<string, string | undefined>>): ErrorReport {
  if (error instanceof OutputClosed) return { exitCode: exitCodes.done, text: "" };
  if (error instanceof CommanderError && error.exitCode === 0) return { exitCode: exitCodes.done, text: "" };
  const exitCode =
    error instanceof UsageError || error instanceof CommanderError ? exitCodes.wrongUse : exitCodes.failed;
  if (error instanceof CommanderError && error.code === "commander.help") return { exitCode, text: "" }; // help is printed
  const debug = env.ONEWORD_DEBUG && env.ONEWORD_DEBUG !== "0" ? `${stackOf(error)}\n` : "";
  return { exitCode, text: `oneword: ${oneLine(messageOf(error))}\n${debug}` };
}

/** One line for a command that a signal ended, with what it says of where it stopped, or of what failed while it did. */
export function reportStop(exitCode: number, error: unknown): string {
  const word = exitCode === exitCodes.interrupted ? "interrupted" : "terminated";
  const isPlain = error instanceof Error && (error.name === "AbortError" || error.message === stoppedByCaller);
  return `oneword: ${word}${isPlain ? "" : `: ${oneLine(messageOf(error))}`}\n`;
}

function messageOf(error: unknown): string {
  if (error instanceof CommanderError) return `${sentence(error.message.replace(/^error: /, ""))} See oneword --help.`;
  if (error instanceof UsageError) return error.message;
  if (error instanceof InternalError) return `${sentence(error.message)} ${reportHint}`;
  if (error instanceof OnewordError) return error.message;
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return `unexpected ${sentence(message)} ${reportHint}`;
}

function sentence(text: string): string {
  return /[.?!)]\s*$/.test(text) ? text.trim() : `${text.trim()}.`;
}

function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, " ").trim();
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by: ${stackOf(error.cause)}`;
  return (error.stack ?? error.message) + cause;
}
