import { type FileHandle, open, stat } from "node:fs/promises";
import { ModelError } from "../errors.ts";

const maxReadBytes = 1 << 30; // the operating system reads no more than 2 GiB at once

/**
 * Opens a file of weights, hands it over with its size, and closes it.
 * @throws ModelError "corrupt-file" where there is no file that can be read
 */
export async function withFile<T>(file: string, use: (handle: FileHandle, size: number) => Promise<T>): Promise<T> {
  const handle = await openFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error instanceof ModelError) throw error;
    const message =
      error.code === "ENOENT"
        ? `${file} is missing. Check the path, or download it again.`
        : `${file} cannot be read: ${error.code ?? error.message}. Check the path and its permissions.`;
    throw new ModelError("corrupt-file", message, { cause: error });
  });
  try {
    return await use(handle, (await handle.stat()).size);
  } finally {
    await handle.close();
  }
}

async function openFile(file: string): Promise<FileHandle> {
  if (!(await stat(file)).isFile()) throw new ModelError("corrupt-file", `${file} is not a file. Check the path.`); // opening a pipe would wait
  return open(file);
}

/** `length` bytes from `offset`; fewer where the file ends before. */
export async function readAt(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const wanted = Math.min(length - filled, maxReadBytes);
    const { bytesRead } = await handle.read(buffer, filled, wanted, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
