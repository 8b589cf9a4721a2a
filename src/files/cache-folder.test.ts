import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { unwritableCache } from "./cache-folder.ts";

const root = resolve("some", "cache");
const denied = (path?: string): Error =>
  Object.assign(new Error("EACCES: permission denied"), { code: "EACCES", path });

test.each([join(root, "locks"), root, resolve("some")])("%s that cannot be written is the cache's trouble", (path) => {
  expect(unwritableCache(denied(path), root)).toMatch(
    /^the cache .*cache cannot be written \(EACCES.*Set ONEWORD_CACHE to/,
  );
});

test.each([`${root}-of-models`, root.slice(0, -1), resolve("a-model")])("%s is none of the cache's", (path) => {
  expect(unwritableCache(denied(path), root)).toBeUndefined();
});
