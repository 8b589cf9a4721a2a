import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import {
  access,
  constants,
  type FileHandle,
  mkdir,
  open,
  readlink,
  realpath,
  rename,
  stat,
  unlink,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { isatty } from "node:tty";
import { CapacityError, InputError } from "../errors.ts";
import { isDiskFull } from "./disk-full.ts";
import type { ByteSink } from "./row-buffer.ts";

/**
 * Opens a file that appears under its name only when it is whole: it is written beside it and renamed by `close`. What is
 * not a regular file, such as /dev/null or a named pipe, is written directly; a link is followed.
 * @param option  that named the file, for errors
 * @throws InputError "bad-option" when the file cannot be created; CapacityError "disk-full"
 */
export async function openOutputFile(file: string, option = "--output"): Promise<ByteSink> {
  const named = { file, name: `${option} ${file}` };
  if (file === "" || /[\\/]$/.test(file)) {
    throw new InputError("bad-option", `${named.name}: names no file. Name one, with its folder if need be.`);
  }
  const existing = await stat(file).catch(() => undefined);
  if (existing?.isDirectory()) throw new InputError("bad-option", `${named.name}: is a folder. Name a file in it.`);
  const isSpecial = existing !== undefined && !existing.isFile();
  const target = isSpecial ? file : await followLinks(file); // a pipe's link, as /dev/stdout is one, leads to no name
  const part = isSpecial
    ? target
    : join(dirname(target), `.${basename(target)}.${process.pid}.${randomBytes(4).toString("hex")}.part`);
  // as private as what it takes the place of, from the first byte on
  const handle = await open(part, isSpecial ? "w" : "wx", existing?.mode).catch((cause: unknown) => {
    throw outputError(named, cause);
  });
  const output = new OutputFile(named, handle, part, isSpecial ? undefined : target);
  const isStream = existing?.isFIFO() || existing?.isSocket() || isatty(handle.fd);
  return isStream ? withoutPatch(output) : output;
}

/** Where a file really lies, or will: a link may lead to one that is not there yet. */
async function followLinks(file: string): Promise<string> {
  try {
    return await realpath(file);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const next = isMissing ? await readlink(file).catch(() => null) : null;
    return next === null ? file : followLinks(resolve(dirname(file), next));
  }
}

/**
 * Makes a folder for results, with those above it.
 * @throws InputError "bad-option" when it cannot be made, or written into; CapacityError "disk-full"
 */
export async function makeOutputFolder(folder: string, option = "--output"): Promise<void> {
  const file = { file: folder, name: `${option} ${folder}` };
  if (folder === "") throw new InputError("bad-option", `${option}: names no folder. Name one.`);
  await makeFolder(folder, file);
  await access(folder, constants.W_OK).catch((cause: unknown) => {
    throw outputError(file, cause);
  });
}

async function makeFolder(folder: string, file: NamedFile): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw outputError(file, cause);
  });
}

/** A text as a file, whole or not at all, in a folder that is made if need be. */
export async function writeWhole(file: string, text: string, option?: string): Promise<void> {
  await using output = await ReservedFile.open(file, option);
  await output.write(text);
}

/** A file that is opened before the work whose result it takes, so that a place that cannot be written is known at once. */
export class ReservedFile implements AsyncDisposable {
  readonly #sink: ByteSink;

  private constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  /** As openOutputFile, in a folder that is made if need be. */
  static async open(file: string, option = "--output"): Promise<ReservedFile> {
    await makeFolder(dirname(file), { file, name: `${option} ${file}` });
    return new ReservedFile(await openOutputFile(file, option));
  }

  /** The whole text, once. */
  async write(text: string): Promise<void> {
    await this.#sink.write(Buffer.from(text));
    await this.#sink.close();
  }

  /** What has not been written leaves nothing behind. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#sink.discard();
  }
}

/** A pipe or a terminal: what has gone out cannot be written over. */
const withoutPatch = (output: ByteSink): ByteSink => ({
  write: (bytes) => output.write(bytes),
  close: () => output.close(),
  discard: () => output.discard(),
});

/** A file, and what errors call it: with the option that named it. */
interface NamedFile {
  readonly file: string;
  readonly name: string;
}

class OutputFile implements ByteSink {
  readonly #file: NamedFile;
  readonly #handle: FileHandle;
  readonly #part: string;
  readonly #target: string | undefined;
  #isOpen = true;

  constructor(file: NamedFile, handle: FileHandle, part: string, target: string | undefined) {
    this.#file = file;
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
      throw outputError(this.#file, cause);
    }
  }
}

/** Makes a rename last; where a folder cannot be opened or synced, as on Windows, the system does what it does. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => null);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

function outputError({ file, name }: NamedFile, cause: unknown): Error {
  const code = (cause as NodeJS.ErrnoException).code;
  if (isDiskFull(cause)) {
    return new CapacityError("disk-full", `${name}: no space left on the disk. Nothing was kept.`, { cause });
  }
  const reason =
    code === "ENOENT" && !existsSync(dirname(file)) // a file system that is read-only says so of new folders, too
      ? `the folder ${dirname(file)} does not exist. Create it first`
      : `cannot be written (${code ?? String(cause)}). Choose another place`;
  return new InputError("bad-option", `${name}: ${reason}.`, { cause });
}
