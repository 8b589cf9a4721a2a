import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "./atomic.ts";

const stateName = "download.json";

interface State {
  readonly name: string;
  /** Path -> what its bytes are: the hub's etag or checksum. Bytes of another content are never continued. */
  readonly contents: Record<string, string>;
}

/** A folder that is being filled: finished files under their names, the current one with `.partial` behind it. */
export class Staging {
  readonly folder: string;
  readonly #state: State;

  private constructor(folder: string, state: State) {
    this.folder = folder;
    this.#state = state;
  }

  /** @param contents  of files that are there already, for a folder that has no record of its own */
  static async open(folder: string, name: string, contents: Record<string, string>): Promise<Staging> {
    await mkdir(folder, { recursive: true });
    const known = await readStagingState(folder);
    const staging = new Staging(folder, { name, contents: { ...(known?.contents ?? contents) } });
    await staging.#save();
    return staging;
  }

  path(file: string): string {
    return join(this.folder, file);
  }

  partial(file: string): string {
    return `${this.path(file)}.partial`;
  }

  /** Whether a file is here in this content; if not, what is left of another content goes. */
  async isFinished(file: string, content: string, size: number): Promise<boolean> {
    const isSame = this.#state.contents[file] === content;
    if (isSame && (await sizeOf(this.path(file))) === size) return true;
    await rm(this.path(file), { force: true });
    if (!isSame) await rm(this.partial(file), { force: true });
    this.#state.contents[file] = content;
    await this.#save();
    return false;
  }

  /** How much of a file is still to come. */
  async missingBytes(file: string, size: number): Promise<number> {
    const begun = (await sizeOf(this.path(file))) ?? (await sizeOf(this.partial(file))) ?? 0;
    return Math.max(0, size - begun);
  }

  async finish(file: string): Promise<void> {
    await rename(this.partial(file), this.path(file));
  }

  /** Takes the record away: the folder is a model now. */
  async close(): Promise<void> {
    await rm(join(this.folder, stateName), { force: true });
  }

  #save(): Promise<void> {
    return writeAtomically(join(this.folder, stateName), JSON.stringify(this.#state));
  }
}

/** The record of a download that was cut; null where there is none. */
export async function readStagingState(folder: string): Promise<State | null> {
  try {
    const state = JSON.parse(await readFile(join(folder, stateName), "utf8")) as State;
    return typeof state.name === "string" && typeof state.contents === "object" && state.contents ? state : null;
  } catch {
    return null;
  }
}

export const sizeOf = async (file: string): Promise<number | null> =>
  (await stat(file).catch(() => null))?.size ?? null;
