import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import lockfile from "proper-lockfile";
import { CapacityError, InputError } from "../errors.ts";

export interface LockOptions {
  /** A path in the cache's `locks`; what is locked need not exist. */
  readonly file: string;
  /** What a holder does, as the end of "another process that …". */
  readonly purpose: string;
  readonly signal?: AbortSignal | undefined;
}

type Release = () => Promise<void>;

const staleMs = 10_000;
const updateMs = 2000;
const retryMs = 100;

/**
 * Runs `work` while no other process does the same; a lock whose process died is taken over after 10 s. Work that keeps
 * the thread for longer than that cannot renew its lock.
 * @throws InputError "aborted" while waiting, CapacityError "locked" where another process took the lock over
 */
export async function withLock<T>(options: LockOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { file, purpose, signal } = options;
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  let isLost = false;
  const release = await waitForLock(options, () => {
    isLost = true;
    abort();
  });
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted) abort();
  try {
    return await work(stop.signal);
  } catch (error) {
    if (!isLost) throw error;
    const advice = "Try again: it goes on, or finds what the other process made.";
    throw new CapacityError("locked", `${file}: another process that ${purpose} took over. ${advice}`, {
      cause: error,
    });
  } finally {
    signal?.removeEventListener("abort", abort);
    if (!isLost) await release().catch(() => {});
  }
}

async function waitForLock({ file, purpose, signal }: LockOptions, onCompromised: () => void): Promise<Release> {
  for (;;) {
    if (signal?.aborted) throw new InputError("aborted", `stopped while waiting for another process that ${purpose}.`);
    const release = await tryLock(file, onCompromised);
    if (release) return release;
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

/** Takes a lock that nobody holds; null where somebody does. */
export async function tryLock(file: string, onCompromised: () => void = () => {}): Promise<Release | null> {
  await mkdir(dirname(file), { recursive: true });
  try {
    return await lockfile.lock(file, { realpath: false, stale: staleMs, update: updateMs, onCompromised });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ELOCKED") throw error;
    return null;
  }
}
