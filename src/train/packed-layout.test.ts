import { expect, test } from "vitest";
import { graphNames } from "../models/build.ts";
import { TokenTree } from "../text/token-tree.ts";
import { packedLayoutFeeds, packRows } from "./packed-layout.ts";

test("sequences share rows of the longest one's length, and none lies over another", () => {
  const lengths = Array.from({ length: 200 }, (_, i) => 5 + ((i * 37) % 50));
  const places = packRows(lengths);
  const longest = Math.max(...lengths);
  const taken = new Set<string>();
  for (const [sequence, { row, start }] of places.entries()) {
    expect(start + lengths[sequence]!).toBeLessThanOrEqual(longest);
    for (let i = 0; i < lengths[sequence]!; i++) taken.add(`${row} ${start + i}`);
  }
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  expect(taken.size).toBe(tokens);
  const rows = 1 + Math.max(...places.map(({ row }) => row));
  expect(tokens / (rows * longest)).toBeGreaterThan(0.95);
});

test("the longest sequences come first, each into the first row that has room", () => {
  expect(packRows([2, 7, 3, 2])).toEqual([
    { row: 1, start: 3 },
    { row: 0, start: 0 },
    { row: 1, start: 0 },
    { row: 1, start: 5 },
  ]);
});

test("the grid says of every cell which token it holds, and of every row which tokens look from it", () => {
  const tree = new TokenTree();
  for (const ids of [
    [7, 8, 9, 10, 11],
    [7, 4],
    [7, 5, 6],
  ]) {
    tree.add({ ids, shareable: 1 });
  }
  const feeds = packedLayoutFeeds(tree);
  const numbers = (name: string): number[] => Array.from(feeds[name]!.data as BigInt64Array, Number);
  expect(numbers(graphNames.inputIds)).toEqual([7, 8, 9, 10, 11, 4, 5, 6]); // 7 once
  expect(feeds[graphNames.gridIndex]!.dims).toEqual([2, 5]);
  expect(numbers(graphNames.gridIndex)).toEqual([0, 1, 2, 3, 4, 0, 6, 7, 0, 5]);
  expect(numbers(graphNames.tokenCell)).toEqual([8, 1, 2, 3, 4, 9, 6, 7]); // the 7 looks from the row that has fewer
  expect(numbers(graphNames.repeatedCell).sort()).toEqual([0, 5]);
  expect(feeds[graphNames.queryIndex]!.dims).toEqual([2, 4]);
  expect(numbers(graphNames.queryIndex)).toEqual([1, 2, 3, 4, 5, 6, 7, 0]);
  expect(numbers(graphNames.queryCell)).toEqual([7, 0, 1, 2, 3, 4, 5, 6]);
  expect(numbers(graphNames.lastToken)).toEqual([4, 5, 7]);
  expect(feeds[graphNames.slotIndex]!.dims).toEqual([2, 2]);
  expect(numbers(graphNames.slotIndex)).toEqual([0, 0, 1, 2]);
  expect(numbers(graphNames.slotCell)).toEqual([0, 2, 3]);
});

test("a long beginning looks from all rows alike, so that it pads none", () => {
  const beginning = Array.from({ length: 100 }, (_, i) => i);
  const tree = new TokenTree();
  for (let i = 0; i < 20; i++) tree.add({ ids: [...beginning, 200, 201 + i, 250, 251], shareable: 100 });
  const feeds = packedLayoutFeeds(tree);
  expect(feeds[graphNames.queryIndex]!.dims).toEqual([20, 100 / 20 + 4]);
  const [cells, places] = [feeds[graphNames.tokenCell]!.data, feeds[graphNames.queryCell]!.data] as BigInt64Array[];
  const rowOf = (cell: bigint, width: number): number => Math.floor(Number(cell) / width);
  for (const [token, cell] of cells!.entries()) expect(rowOf(cell, 104)).toBe(rowOf(places![token]!, 9));
});
