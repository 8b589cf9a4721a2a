import { fixed, float32Constant, int64Constant, type Value } from "../graph/graph.ts";
import {
  add,
  cast,
  cos,
  div,
  equal,
  lessOrEqual,
  mod,
  mul,
  scalar,
  sin,
  sub,
  where,
} from "../graph/ops/elementwise.ts";
import { rotaryEmbedding } from "../graph/ops/fused.ts";
import {
  addRows,
  concat,
  gather,
  gatherWith,
  range,
  reshape,
  reshapeTo,
  sizes,
  transpose,
  unsqueeze,
} from "../graph/ops/shape-ops.ts";
import type { Dim } from "../graph/shape.ts";
import { product } from "../graph/shape.ts";
import type { RotaryConfig } from "./config.ts";

/** How the heads of a projection are laid out: `numHeads` in groups that share one key and value head. */
export interface HeadShape {
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
}

/**
 * The way between rows [rows, numHeads · width], which have no padding, and what attention needs: within sequences a grid
 * [numKeyValueHeads, batch, group · length, width], for what all rows look at alike one list of each head,
 * [numKeyValueHeads, rows · group, width].
 */
export interface HeadGrid {
  /** One Gather does what a padding and a transposition would do. The width is headDim. */
  toGrid(rows: Value): Value;
  fromGrid(grid: Value): Value;
  toLists(rows: Value): Value;
  fromLists(lists: Value): Value;
}

/** Which row is where in the grid of the sequences. */
export interface GridPlaces {
  /** int64 [batch, length]: the row at each cell; cells of padding repeat any row. */
  readonly index: Value;
  /** int64 [rows]: a cell of each row, batch · length + position. */
  readonly cell: Value;
  /** int64 [repeats]: the other cells of rows that several sequences share. Asked for by gradients alone. */
  readonly repeatedCell?: Value | undefined;
}

export function headGrid({ index, cell, repeatedCell }: GridPlaces, heads: HeadShape): HeadGrid {
  const { graph } = index;
  const { numHeads, numKeyValueHeads } = heads;
  const group = numHeads / numKeyValueHeads;
  const [batch, length] = index.shape as [Dim, Dim];
  const [rows] = cell.shape as [Dim];
  const constant = (values: readonly number[], shape: readonly number[]): Value => int64Constant(graph, values, shape);
  const headIds = Array.from({ length: numHeads }, (_, head) => head);
  const batchSize = sizes(index, 0, 1);
  const lengthSize = sizes(index, 1, 2);
  const gridRows = product([group, length]);

  const rowOfCell = unsqueeze(unsqueeze(mul(index, constant([numHeads], [1])), 1), 0);
  const headRows = add(rowOfCell, constant(headIds, [numKeyValueHeads, 1, group, 1]));
  const toGridIndex = reshape(headRows, [numKeyValueHeads, batch, gridRows]);

  const inGroup = constant(
    headIds.map((head) => head % group),
    [1, numHeads],
  );
  const keyHead = constant(
    headIds.map((head) => Math.floor(head / group)),
    [1, numHeads],
  );
  const groupSize = constant([group], [1]);
  const headStart = mul(add(mul(keyHead, mul(groupSize, batchSize)), inGroup), lengthSize); // [1, numHeads]
  /** Where each head has the cells of a list, [cells, numHeads]. */
  const inHeads = (cells: Value): Value => {
    const rowStart = mul(div(cells, lengthSize), lengthSize); // [cells]: those of the sequences before
    const inHead = add(cells, mul(rowStart, constant([group - 1], [1])));
    return add(unsqueeze(inHead, 1), headStart);
  };
  const fromGridIndex = inHeads(cell); // [rows, numHeads]

  /** 1 where a cell of the grid holds a row, 0 where it is padding, [1, batch, group · length, 1]. */
  const occupied = (): Value => {
    const cells = reshapeTo(
      range(mul(batchSize, lengthSize), product([batch, length])),
      sizes(index, 0, 2),
      index.shape,
    );
    const holds = unsqueeze(cast(equal(gather(cell, index), cells), "float32"), 1); // [batch, 1, length]
    const copies = mul(holds, float32Constant(graph, new Float32Array(group).fill(1), [1, group, 1]));
    return unsqueeze(unsqueeze(reshape(copies, [batch, gridRows]), 0), 3);
  };
  const widthOf = (x: Value, copies = 1): number => fixed(x.shape.at(-1), "a head's width") / copies;
  const numCells = product([numKeyValueHeads, batch, gridRows]);
  const toCells = (grid: Value): Value => reshape(grid, [numCells, widthOf(grid)]);
  /** One row for each head, of [rows, numHeads · width] or [rows, numHeads, width]. */
  const toHeads = (x: Value, width: number): Value => reshape(x, [product([rowsOf(x), numHeads]), width]);
  /** Gradients by the rows: the sum over the cells that each is in. */
  const sumOfCells = (cells: Value, width: number): Value => {
    const atRows = (index: Value): Value => reshape(gather(cells, index), [rowsOf(index), numHeads * width]);
    const own = atRows(fromGridIndex);
    if (!repeatedCell) return own;
    const repeatedRow = gather(reshape(index, [product([batch, length])]), repeatedCell);
    return addRows(own, repeatedRow, atRows(inHeads(repeatedCell)));
  };
  return {
    toGrid: (x) => {
      const width = widthOf(x, numHeads);
      const back = (grad: Value): Value => toHeads(sumOfCells(toCells(grad), width), width);
      return gatherWith(toHeads(x, width), toGridIndex, back);
    },
    fromGrid: (grid) => {
      const width = widthOf(grid);
      const back = (grad: Value): Value => toCells(mul(gather(toHeads(grad, width), toGridIndex), occupied()));
      return reshape(gatherWith(toCells(grid), fromGridIndex, back), [rows, numHeads * width]);
    },
    toLists: (x) => {
      const width = widthOf(x, numHeads);
      const byHead = transpose(reshape(x, [rows, numKeyValueHeads, group * width]), [1, 0, 2]);
      return reshape(byHead, [numKeyValueHeads, product([rows, group]), width]);
    },
    fromLists: (lists) => {
      const width = widthOf(lists);
      const byHead = reshape(lists, [numKeyValueHeads, rows, group * width]);
      return reshape(transpose(byHead, [1, 0, 2]), [rows, numHeads * width]);
    },
  };
}

const rowsOf = (x: Value): Dim => x.shape[0] as Dim;

export type Rotate = (rows: Value, numHeads: number) => Value;

/**
 * Rotary positions for rows at `positionIds`; identity for models without.
 * @param positionIds  int64 [rows]
 */
export function rotateAt(positionIds: Value, rotary: RotaryConfig | null): Rotate {
  if (!rotary) return (x) => x;
  const frequencies = float32Constant(positionIds.graph, rotary.inverseFrequencies);
  const angles = unsqueeze(mul(unsqueeze(cast(positionIds, "float32"), 1), frequencies), 0); // [1, rows, headDim / 2]
  const [cosines, sines] = [cos(angles), sin(angles)];
  return (x, numHeads) =>
    reshape(rotaryEmbedding(unsqueeze(x, 0), cosines, sines, numHeads, rotary.interleaved), x.shape);
}

/**
 * What stands for the logarithm of 0: e to it is 0 in float32, beside any scores that attention has, and float16 holds it. Not
 * −∞, which a shader may take not to be there (WGSL, "Floating Point Evaluation").
 */
export const logOfNone = -3e4;

/**
 * 0 where a query may look, logOfNone where not, for queries at every position.
 * @param index  int64 [batch, length]
 * @returns [group · length, length]
 */
export function causalMask(index: Value, group: number): Value {
  const positions = positionsOf(index);
  return forGroup(spanMask(positions, positions), group);
}

/**
 * The same for one query in each sequence, at `lastPosition`.
 * @param lastPosition  int64 [batch], counted in the sequence
 * @returns [batch, 1, length]
 */
export function lastTokenMask(index: Value, lastPosition: Value): Value {
  return unsqueeze(maskWhere(lessOrEqual(positionsOf(index), unsqueeze(lastPosition, 1))), 1);
}

/** Where the queries are, in rows that hold several sequences; see buildForwardGraph. Places too many repeat any. */
export interface PackedRows {
  /** int64 [rows, queries]: the tokens whose queries each row has. */
  readonly queryIndex: Value;
  /** int64 [tokens]: the place of each token's query, row · queries + place. */
  readonly queryCell: Value;
  /** int64 [rows, slots]: the sequences whose last tokens each row has. */
  readonly slotIndex: Value;
  /** int64 [batch]: the place of each of them, row · slots + place. */
  readonly slotCell: Value;
}

/**
 * The same for chosen tokens of rows that hold several sequences.
 * @param places       of the keys
 * @param positionIds  int64 [tokens], which count from 0 in each sequence
 * @param queries      int64 [rows, queries]: tokens
 * @returns [rows, group · queries, length]
 */
export function packedMask({ index, cell }: GridPlaces, positionIds: Value, queries: Value, group: number): Value {
  const last = mod(cell, sizes(index, 1, 2)); // [tokens]: each one's place in its row
  const first = sub(last, positionIds);
  return forGroup(spanMask(positionsOf(index), gather(last, queries), gather(first, queries)), group);
}

const positionsOf = (index: Value): Value => range(sizes(index, 1, 2), index.shape[1] as Dim);

/**
 * 0 for keys from `first` to `last`, else logOfNone.
 * @param last   int64 [..., queries]
 * @param first  the same; null: from the beginning
 * @returns [..., queries, length]
 */
function spanMask(positions: Value, last: Value, first: Value | null = null): Value {
  const keys = unsqueeze(positions, 0);
  const mask = maskWhere(lessOrEqual(keys, unsqueeze(last, last.shape.length)));
  if (!first) return mask;
  return where(lessOrEqual(unsqueeze(first, first.shape.length), keys), mask, scalar(mask, logOfNone));
}

/** Once for each head of a group: [..., group · queries, length] of [..., queries, length]. */
function forGroup(mask: Value, group: number): Value {
  const { graph, shape } = mask;
  const [queries, length] = shape.slice(-2) as [Dim, Dim];
  const zeros = float32Constant(graph, new Float32Array(group), [group, 1, 1]);
  if (shape.length === 2) return reshape(add(mask, zeros), [product([group, queries]), length]);
  const target = concat(
    [sizes(mask, 0, 1), mul(sizes(mask, 1, 2), int64Constant(graph, [group])), sizes(mask, 2, 3)],
    0,
  );
  return reshapeTo(add(unsqueeze(mask, 1), zeros), target, [shape[0]!, product([group, queries]), length]);
}

function maskWhere(allowed: Value): Value {
  return where(allowed, scalar(allowed, 0), scalar(allowed, logOfNone));
}

/** Position in its own sequence of each sequence's last token, int64 [batch]. */
export function lastPositions(index: Value, cell: Value, lastToken: Value): Value {
  const row = range(sizes(index, 0, 1), index.shape[0] as Dim);
  return sub(gather(cell, lastToken), mul(row, sizes(index, 1, 2)));
}
