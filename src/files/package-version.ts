import { readFileSync } from "node:fs";

/** Version of this package, from its package.json; as far from src/files as from dist/files. */
export function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
