import { graphNames } from "../models/build.ts";
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

/** Lays tokens one after the other and says where each is in the packed grid of the sequences; see buildForwardGraph. */
export function packedLayoutFeeds({ ids, positions, paths, longest }: TokenTree): Record<string, Tensor> {
  const places = packRows(paths.map(({ length }) => length));
  const rows = 1 + Math.max(...places.map(({ row }) => row));
  const slots = 1 + Math.max(...places.map(({ slot }) => slot));
  const gridIndex = new BigInt64Array(rows * longest); // padding repeats token 0
  const start = new BigInt64Array(rows * longest);
  const tokenCell = new BigInt64Array(ids.length).fill(-1n);
  const repeatedCell: bigint[] = [];
  const slotIndex = new BigInt64Array(rows * slots); // slots too many repeat sequence 0
  const slotCell = new BigInt64Array(paths.length);
  for (const [sequence, path] of paths.entries()) {
    const place = places[sequence]!;
    const slot = place.row * slots + place.slot;
    slotIndex[slot] = BigInt(sequence);
    slotCell[sequence] = BigInt(slot);
    for (const [i, token] of path.entries()) {
      const cell = place.row * longest + place.start + i;
      gridIndex[cell] = BigInt(token);
      start[cell] = BigInt(place.start);
      if (tokenCell[token] === -1n) tokenCell[token] = BigInt(cell);
      else repeatedCell.push(BigInt(cell)); // which holds the same
    }
  }
  const int64 = (values: BigInt64Array, ...dims: number[]): Tensor => new Tensor("int64", values, dims);
  const whole = (values: readonly number[]): Tensor => int64(BigInt64Array.from(values, BigInt), values.length);
  return {
    [graphNames.inputIds]: whole(ids),
    [graphNames.positionIds]: whole(positions),
    [graphNames.gridIndex]: int64(gridIndex, rows, longest),
    [graphNames.tokenCell]: int64(tokenCell, ids.length),
    [graphNames.lastToken]: whole(paths.map((path) => path.at(-1)!)),
    [graphNames.repeatedCell]: int64(BigInt64Array.from(repeatedCell), repeatedCell.length),
    [graphNames.sequenceStart]: int64(start, rows, longest),
    [graphNames.slotIndex]: int64(slotIndex, rows, slots),
    [graphNames.slotCell]: int64(slotCell, paths.length),
  };
}
