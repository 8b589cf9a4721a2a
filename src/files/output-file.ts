import { randomBytes } from "node:crypto";
import { type FileHandle, open, realpath, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isatty } from "node:tty";
import { CapacityError, InputError } from "../errors.ts";
import type { ByteSink } from "./row-buffer.ts";

/**
 * Opens a file that appears under its name only when it is whole: it is written beside it and renamed by `close`. What is
 * not a regular file, such as /dev/null or a named pipe, is written directly; a link is followed.
 * @throws InputError "bad-option" when the file cannot be created; CapacityError "disk-full"
 */
export async function openOutputFile(file: string): Promise<ByteSink> {
  const target = await realpath(file).catch(() => file);
  const existing = await stat(target).catch(() => undefined);
  if (existing?.isDirectory()) throw new InputError("bad-option", `--output ${file}: is a folder. Name a file in it.`);
  const isSpecial = existing !== undefined && !existing.isFile();
  const part = isSpecial
    ? target
    : join(dirname(target), `.${basename(target)}.${process.pid}.${randomBytes(4).toString("hex")}.part`);
  const handle = await open(part, isSpecial ? "w" : "wx").catch((cause: unknown) => {
    throw outputError(file, cause);
  });
  const output = new OutputFile(file, handle, part, isSpecial ? undefined : target);
  const isStream = existing?.isFIFO() || existing?.isSocket() || isatty(handle.fd);
  return isStream ? withoutPatch(output) : output;
}

/** A text as a file, whole or not at all. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const sink = await openOutputFile(file);
  try {
    await sink.write(Buffer.from(text));
    await sink.close();
  } finally {
    await sink.discard();
  }
}

/** A pipe or a terminal: what has gone out cannot be written over. */
const withoutPatch = (output: ByteSink): ByteSink => ({
  write: (bytes) => output.write(bytes),
  close: () => output.close(),
  discard: () => output.discard(),
});

class OutputFile implements ByteSink {
  readonly #name: string;
  readonly #handle: FileHandle;
  readonly #part: string;
  readonly #target: string | undefined;
  #isOpen = true;

  constructor(name: string, handle: FileHandle, part: string, target: string | undefined) {
    this.#name = name;
    this.#handle = handle;
    this.#part = part;
    this.#target = target;
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#named(() => this.#handle.writeFile(bytes));
  }

  async patch(bytes: Uint8Array, offset: number): Promise<void> {
    await this.#named(() => this.#handle.write(bytes, 0, bytes.length, offset));
  }

  async close(): Promise<void> {
    await this.#named(async () => {
      if (this.#target !== undefined) await this.#handle.sync(); // else a crash can leave the name with no contents
      await this.#handle.close();
      if (this.#target !== undefined) {
        await rename(this.#part, this.#target);
        await syncFolder(dirname(this.#target));
      }
      this.#isOpen = false;
    });
  }

  async discard(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#handle.close().catch(() => {});
    if (this.#target !== undefined) await unlink(this.#part).catch(() => {});
  }

  async #named<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw outputError(this.#name, cause);
    }
  }
}

/** Makes a rename last; where a folder cannot be opened or synced, as on Windows, the system does what it does. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

function outputError(file: string, cause: unknown): Error {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new CapacityError("disk-full", `--output ${file}: no space left on the disk. Nothing was kept.`, { cause });
  }
  const reason =
    code === "ENOENT"
      ? `the folder ${dirname(file)} does not exist. Create it first`
      : `cannot be written (${code ?? String(cause)}). Choose another place`;
  return new InputError("bad-option", `--output ${file}: ${reason}.`, { cause });
}
