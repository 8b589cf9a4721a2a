import { graphNames } from "../models/build.ts";
import { layoutFeeds } from "../runtime/encoder.ts";
import { Tensor } from "../runtime/session.ts";
import type { TokenTree } from "../text/token-tree.ts";

/** A sequence's place in the grid. */
interface Place {
  readonly row: number;
  /** Position in the row of its first token. */
  readonly start: number;
}

/**
 * Puts sequences into rows of the longest one's length: each, the longest first, into the first row that has room (first-fit
 * decreasing), so that attention's grid has hardly any padding.
 */
export function packRows(lengths: readonly number[]): Place[] {
  const longest = Math.max(...lengths);
  const ends: number[] = [];
  const places = new Array<Place>(lengths.length);
  const order = Array.from(lengths.keys()).sort((a, b) => lengths[b]! - lengths[a]!);
  for (const sequence of order) {
    const length = lengths[sequence]!;
    let row = ends.findIndex((end) => end + length <= longest);
    if (row < 0) row = ends.push(0) - 1;
    places[sequence] = { row, start: ends[row]! };
    ends[row]! += length;
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
  const cells = cellsOfTokens(tree, firstCells);
  const queries = spreadQueries(cells, rows, longest);
  const repeatedCell = cells.flatMap((all, token) => all.filter((cell) => cell !== queries.cells[token])).map(BigInt);
  const sequences: number[][] = Array.from({ length: rows }, () => []);
  for (const [sequence, { row }] of places.entries()) sequences[row]!.push(sequence);
  return {
    ...feeds,
    [graphNames.tokenCell]: new Tensor("int64", BigInt64Array.from(queries.cells, BigInt), [cells.length]),
    [graphNames.repeatedCell]: new Tensor("int64", BigInt64Array.from(repeatedCell), [repeatedCell.length]),
    ...rowFeeds(graphNames.queryIndex, graphNames.queryCell, queries.rows, cells.length),
    ...rowFeeds(graphNames.slotIndex, graphNames.slotCell, sequences, paths.length),
  };
}

/** For each token the cells that hold it. */
function cellsOfTokens({ ids, paths }: TokenTree, firstCells: readonly number[]): readonly (readonly number[])[] {
  const cells: number[][] = ids.map(() => []);
  for (const [sequence, path] of paths.entries()) {
    for (const [i, token] of path.entries()) cells[token]!.push(firstCells[sequence]! + i);
  }
  return cells;
}

/**
 * Chooses from which of its cells each token looks: rows should have about as many queries, or the longest makes padding for
 * the others, so those that many rows hold fill up those that have few.
 * @returns the cell of each token, and the tokens that look from each row
 */
function spreadQueries(cells: readonly (readonly number[])[], rows: number, longest: number) {
  const chosen = new Array<number>(cells.length);
  const queries: number[][] = Array.from({ length: rows }, () => []);
  const rowOf = (cell: number): number[] => queries[Math.floor(cell / longest)]!;
  const order = Array.from(cells.keys()).sort((a, b) => cells[a]!.length - cells[b]!.length);
  for (const token of order) {
    const cell = cells[token]!.reduce((best, cell) => (rowOf(cell).length < rowOf(best).length ? cell : best));
    chosen[token] = cell;
    rowOf(cell).push(token);
  }
  return { cells: chosen, rows: queries };
}

/** What lies in each row, padded with 0, and the place of each of them. */
function rowFeeds(
  index: string,
  cell: string,
  rows: readonly (readonly number[])[],
  count: number,
): Record<string, Tensor> {
  const width = Math.max(...rows.map(({ length }) => length));
  const indexes = new BigInt64Array(rows.length * width);
  const cells = new BigInt64Array(count);
  for (const [row, held] of rows.entries()) {
    for (const [place, item] of held.entries()) {
      indexes[row * width + place] = BigInt(item);
      cells[item] = BigInt(row * width + place);
    }
  }
  return { [index]: new Tensor("int64", indexes, [rows.length, width]), [cell]: new Tensor("int64", cells, [count]) };
}
