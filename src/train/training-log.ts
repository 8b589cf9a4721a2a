import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../errors.ts";
import { isJsonObject } from "../files/json.ts";
import { replaceFile, throwDiskError } from "../files/replace-file.ts";

export const logName = "log.jsonl";

/** One JSON object a line for every step and every evaluation. */
export class TrainingLog {
  readonly #file: string;
  readonly #entries: LogEntry[];

  private constructor(file: string, entries: LogEntry[]) {
    this.#file = file;
    this.#entries = entries;
  }

  /** Oldest first. */
  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  /** Opens the log of a run that goes on after `done` steps: lines of later ones, which will be done again, go. */
  static async open(folder: string, done: number): Promise<TrainingLog> {
    const file = join(folder, logName);
    const kept = (await readLog(file)).filter(({ step }) => step <= done);
    await replaceFile(file, Buffer.from(kept.map((entry) => `${JSON.stringify(entry)}\n`).join("")));
    return new TrainingLog(file, kept);
  }

  hasScore(step: number): boolean {
    return this.#entries.some((entry) => entry.step === step && entry.devSpearman !== undefined);
  }

  /** @throws CapacityError "disk-full" */
  async append(entry: { readonly step: number }): Promise<void> {
    const timed = { time: new Date().toISOString(), ...entry };
    await appendFile(this.#file, `${JSON.stringify(timed)}\n`).catch(throwDiskError(this.#file));
    this.#entries.push(timed);
  }
}

export type LogEntry = { readonly step: number } & Readonly<Record<string, unknown>>;

/**
 * Entries of a log, none where there is no file; a line that is no entry, as one that was cut by a crash, is left out.
 * @throws InputError "bad-option" for a file that cannot be read
 */
export async function readLog(file: string): Promise<LogEntry[]> {
  const text = await readFile(file, "utf8").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT" || cause.code === "EISDIR") return ""; // a folder is told of when the file is written
    throw new InputError("bad-option", `${file}: cannot be read (${cause.code}). Move it away.`, { cause });
  });
  return text.split("\n").flatMap((line) => {
    try {
      const entry: unknown = JSON.parse(line);
      return isJsonObject(entry) && typeof entry.step === "number" ? [entry as LogEntry] : [];
    } catch {
      return [];
    }
  });
}
