import { readdirSync, readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { expect, test } from "vitest";

/** Folders from the bottom up; a file may import from its own folder and from those on lines above it. */
const layers = [
  ["errors.ts"],
  ["files"],
  ["text", "graph"],
  ["models"],
  ["runtime"],
  ["embed"],
  ["search", "evaluate"],
  ["train", "export", "recipes"],
  ["index.ts"],
  ["server"],
  ["cli"],
];

const root = resolve(import.meta.dirname, "../src");
const levels = new Map(layers.flatMap((folders, level) => folders.map((folder) => [folder, level] as const)));

interface Import {
  readonly from: string;
  readonly to: string;
}

const sources = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));

function importsOf(file: string): string[] {
  const text = readFileSync(resolve(root, file), "utf8");
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1]!);
}

const folderOf = (file: string): string => file.split("/")[0]!;

test("imports between folders go one way", () => {
  const wrong: Import[] = [];
  for (const from of sources.filter((file) => !file.endsWith(".test.ts"))) {
    for (const target of importsOf(from).filter((name) => name.startsWith("."))) {
      const to = relative(root, resolve(root, dirname(from), target));
      const [a, b] = [folderOf(from), folderOf(to)];
      if (a !== b && !(levels.get(b)! < levels.get(a)!)) wrong.push({ from, to });
    }
  }
  expect(wrong).toEqual([]);
});

test("only src/runtime imports the runtime", () => {
  const importers = sources.filter((file) => importsOf(file).includes("onnxruntime-node"));
  expect(importers).toEqual(["runtime/session.ts"]);
});
