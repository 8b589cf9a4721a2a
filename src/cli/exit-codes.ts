/** What the command line ends with. */
export const exitCodes = { done: 0, failed: 1, wrongUse: 2, interrupted: 130, terminated: 143 } as const;

/** The command line cannot be run as written: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Whoever read standard output has closed it, as `head` does: the end, quietly, with 0. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

export const exitCodeHelp = `
Exit codes:
  0    done; also when the reader of standard output stopped reading
  1    failed: one line on standard error says what, where, and what to do
  2    wrong use of the command line
  130  interrupted (Ctrl-C): standard output holds whole lines only, --output is left as it was,
       but for the checkpoint that train writes
  143  terminated (SIGTERM), likewise`;
