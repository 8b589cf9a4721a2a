import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openTextFile, readTextLines } from "./text-lines.ts";

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function linesOf(content: string | Uint8Array, size = 5, options = {}): Promise<string[]> {
  const lines: string[] = [];
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  for await (const { text, lineNumber } of readTextLines(chunksOf(bytes, size), "in.txt", options)) {
    lines.push(text);
    expect(lineNumber).toBe(lines.length);
  }
  return lines;
}

test.each([
  ["", []],
  ["one", ["one"]],
  ["one\n", ["one"]],
  ["one\r\ntwo\r\n", ["one", "two"]],
  ["\n\n", ["", ""]],
  ["\uFEFFone\n\uFEFFtwo", ["one", "\uFEFFtwo"]],
  ["a\rb\r\r\n", ["a\rb\r"]],
  ["naïve 🐎\nend", ["naïve 🐎", "end"]],
])("splits %j", async (content, lines) => {
  for (const size of [1, 2, 3, 100]) expect(await linesOf(content, size)).toEqual(lines);
});

test("lines do not depend on how the bytes are cut into chunks", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: "binary" }).map((text) => text.replace(/[\r\n\uFEFF]/g, ""))),
      fc.integer({ min: 1, max: 40 }),
      async (lines, size) => {
        expect(await linesOf(lines.map((line) => `${line}\n`).join(""), size)).toEqual(lines);
      },
    ),
  );
});

test("names the line that is not UTF-8, after the lines before it were given out", async () => {
  const bytes = Buffer.concat([
    Buffer.from("good\nalso good\n"),
    Buffer.from([0x62, 0xe4, 0x64]),
    Buffer.from("\nlast\n"),
  ]);
  const seen: string[] = [];
  const reading = (async () => {
    for await (const { text } of readTextLines(chunksOf(bytes, 7), "in.txt")) seen.push(text);
  })();
  await expect(reading).rejects.toMatchObject({
    code: "not-utf8",
    message: expect.stringMatching(/^in\.txt:3: not UTF-8/),
  });
  expect(seen).toEqual(["good", "also good"]);
});

test.each([
  ["an overlong form", [0xc0, 0xaf]],
  ["a surrogate", [0xed, 0xa0, 0x80]],
  ["a cut character at the end", [0x61, 0xf0, 0x9f]],
])("refuses %s", async (_name, bytes) => {
  await expect(linesOf(Uint8Array.from(bytes))).rejects.toMatchObject({ code: "not-utf8" });
});

test("refuses a line over the bound, with or without an end", async () => {
  const options = { maxLineBytes: 10 };
  expect(await linesOf(`${"x".repeat(10)}\nb`, 4, options)).toHaveLength(2);
  await expect(linesOf(`a\n${"x".repeat(11)}\n`, 100, options)).rejects.toThrow(/^in\.txt:2: the line is longer/);
  await expect(linesOf("x".repeat(1000), 4, options)).rejects.toMatchObject({ code: "too-long" });
});

test("a missing file and a folder are named", async () => {
  const folder = await mkdtemp(join(tmpdir(), "oneword-lines-"));
  try {
    await expect(openTextFile(join(folder, "no.txt"))).rejects.toMatchObject({
      code: "file-not-found",
      message: expect.stringContaining("no.txt: no such file"),
    });
    await expect(openTextFile(folder)).rejects.toThrow(/is a folder/);
    await writeFile(join(folder, "yes.txt"), "a\nb");
    const lines: string[] = [];
    for await (const { text } of readTextLines(await openTextFile(join(folder, "yes.txt")), "yes.txt"))
      lines.push(text);
    expect(lines).toEqual(["a", "b"]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
