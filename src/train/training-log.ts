import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../files/replace-file.ts";

export const logName = "log.jsonl";

/** One JSON object a line for every step and every evaluation. */
export class TrainingLog {
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
  }

  /** Opens the log of a run that goes on after `done` steps: lines of later ones, which will be done again, go. */
  static async open(folder: string, done: number): Promise<TrainingLog> {
    const file = join(folder, logName);
    const kept = (await readLog(file)).filter(({ step }) => step <= done);
    await replaceFile(file, Buffer.from(kept.map((entry) => `${JSON.stringify(entry)}\n`).join("")));
    return new TrainingLog(file);
  }

  async append(entry: object): Promise<void> {
    await appendFile(this.#file, `${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`);
  }
}

export type LogEntry = { readonly step: number } & Readonly<Record<string, unknown>>;

/** Entries of a log; a last line that was cut by a crash is left out. */
export async function readLog(file: string): Promise<LogEntry[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => {
    try {
      return [JSON.parse(line) as LogEntry];
    } catch {
      return [];
    }
  });
}
