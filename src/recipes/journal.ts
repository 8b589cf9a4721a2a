import { appendFile, mkdir, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { diskError, throwDiskError } from "../files/replace-file.ts";

/** One measurement that a search made. */
export interface JournalEntry {
  /** What was measured; equal keys have equal scores. */
  readonly key: string;
  readonly scores: readonly number[];
  /** Spent on it. */
  readonly seconds: number;
  /** Texts that were run for it. */
  readonly texts: number;
}

/** What a search has measured, a line each, so that one that was stopped goes on where it was. */
export class Journal {
  readonly #file: string | null;
  readonly #entries = new Map<string, JournalEntry>();

  private constructor(file: string | null) {
    this.#file = file;
  }

  /**
   * @param file  null keeps it in memory alone
   * @param anew  forget what is in the file
   * @throws InputError "bad-option" for a folder of that name
   */
  static async open(file: string | null, { anew = false }: { readonly anew?: boolean } = {}): Promise<Journal> {
    const journal = new Journal(file);
    if (file === null) return journal;
    await mkdir(dirname(file), { recursive: true });
    if (anew) await rm(file, { force: true }).catch(throwDiskError(file));
    const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      throw diskError(error, file);
    });
    for (const line of text.split("\n")) {
      const entry = parse(line); // a last line that was cut is measured again
      if (entry) journal.#entries.set(entry.key, entry);
    }
    if (text !== "" && !text.endsWith("\n")) await journal.#append("\n");
    return journal;
  }

  find(key: string): JournalEntry | undefined {
    return this.#entries.get(key);
  }

  /** @throws CapacityError "disk-full" */
  async add(entry: JournalEntry): Promise<void> {
    this.#entries.set(entry.key, entry);
    await this.#append(`${JSON.stringify(entry)}\n`);
  }

  async #append(text: string): Promise<void> {
    const file = this.#file;
    if (file === null) return;
    await appendFile(file, text).catch(throwDiskError(file));
  }
}

function parse(line: string): JournalEntry | null {
  try {
    return JSON.parse(line) as JournalEntry;
  } catch {
    return null;
  }
}
