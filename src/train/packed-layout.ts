import { graphNames } from "../models/build.ts";
import { layoutFeeds } from "../runtime/encoder.ts";
import { Tensor } from "../runtime/session.ts";
import type { TokenTree } from "../text/token-tree.ts";

/** A sequence's place in the grid. */
interface Place {
  readonly row: number;
  /** Position in the row of its first token. */
  readonly start: number;
  /** How many sequences of the row are before it. */
  readonly slot: number;
}

/**
 * Puts sequences into rows of the longest one's length: each, the longest first, into the first row that has room (first-fit
 * decreasing), so that attention's grid has hardly any padding.
 */
export function packRows(lengths: readonly number[]): Place[] {
  const longest = Math.max(...lengths);
  const rows: { end: number; sequences: number }[] = [];
  const places = new Array<Place>(lengths.length);
  const order = Array.from(lengths.keys()).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  for (const sequence of order) {
    const length = lengths[sequence]!;
    let row = rows.findIndex(({ end }) => end + length <= longest);
    if (row < 0) row = rows.push({ end: 0, sequences: 0 }) - 1;
    const { end, sequences } = rows[row]!;
    places[sequence] = { row, start: end, slot: sequences };
    rows[row] = { end: end + length, sequences: sequences + 1 };
  }
  return places;
}

/** The feeds of a graph of buildForwardGraph that say where the tokens are. */
export function packedLayoutFeeds(tree: TokenTree): Record<string, Tensor> {
  const { paths, longest } = tree;
  const places = packRows(paths.map(({ length }) => length));
  const firstCells = places.map(({ row, start }) => row * longest + start);
  const feeds = layoutFeeds(tree, 0, firstCells);
  const [rows] = feeds[graphNames.gridIndex]!.dims as [number];
  const tokenCell = feeds[graphNames.tokenCell]!.data as BigInt64Array;
  const slots = 1 + Math.max(...places.map(({ slot }) => slot));
  const start = new BigInt64Array(rows * longest);
  const repeatedCell: bigint[] = [];
  const slotIndex = new BigInt64Array(rows * slots); // slots too many repeat sequence 0
  const slotCell = new BigInt64Array(paths.length);
  for (const [sequence, path] of paths.entries()) {
    const place = places[sequence]!;
    const [firstCell, slot] = [firstCells[sequence]!, place.row * slots + place.slot];
    slotIndex[slot] = BigInt(sequence);
    slotCell[sequence] = BigInt(slot);
    start.fill(BigInt(place.start), firstCell, firstCell + path.length);
    for (const [i, token] of path.entries()) {
      const cell = BigInt(firstCell + i);
      if (cell !== tokenCell[token]) repeatedCell.push(cell); // which holds the same
    }
  }
  return {
    ...feeds,
    [graphNames.repeatedCell]: new Tensor("int64", BigInt64Array.from(repeatedCell), [repeatedCell.length]),
    [graphNames.sequenceStart]: new Tensor("int64", start, [rows, longest]),
    [graphNames.slotIndex]: new Tensor("int64", slotIndex, [rows, slots]),
    [graphNames.slotCell]: new Tensor("int64", slotCell, [paths.length]),
  };
}
