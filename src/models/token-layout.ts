import { float32Constant, int64Constant, type Value } from "../graph/graph.ts";
import { add, cast, cos, div, equal, lessOrEqual, mul, sin, sub, where } from "../graph/ops/elementwise.ts";
import { rotaryEmbedding } from "../graph/ops/fused.ts";
import { concat, gather, gatherWith, range, reshape, reshapeTo, sizes, unsqueeze } from "../graph/ops/shape-ops.ts";
import type { Dim } from "../graph/shape.ts";
import { product } from "../graph/shape.ts";
import type { RotaryConfig } from "./config.ts";

/** How the heads of a projection are laid out: `numHeads` in groups that share one key and value head. */
export interface HeadShape {
  readonly numHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
}

/**
 * The way between rows [rows, numHeads · headDim], which have no padding, and the grid that attention needs,
 * [numKeyValueHeads, batch, group · length, headDim]. One Gather does what a padding and a transposition would do.
 */
export interface HeadGrid {
  toGrid(rows: Value): Value;
  fromGrid(grid: Value): Value;
  /** Splits [numKeyValueHeads, batch · group · length, last] into the grid's dimensions. */
  split(flat: Value, last: Dim): Value;
  /** The reverse of split. */
  join(grid: Value): Value;
}

/**
 * @param index  int64 [batch, length]: the row at each cell of the grid; cells of padding repeat any row
 * @param cell   int64 [rows]: the cell, batch · length + position, of each row
 */
export function headGrid(index: Value, cell: Value, heads: HeadShape): HeadGrid {
  const { graph } = index;
  const { numHeads, numKeyValueHeads, headDim } = heads;
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
  const rowStart = mul(div(cell, lengthSize), lengthSize); // [rows]: cells in the sequences before
  const inHead = add(cell, mul(rowStart, constant([group - 1], [1])));
  const fromGridIndex = add(unsqueeze(inHead, 1), headStart); // [rows, numHeads]

  const splitTarget = concat(
    [constant([numKeyValueHeads], [1]), batchSize, mul(groupSize, lengthSize), constant([-1], [1])],
    0,
  );
  const joined = product([batch, gridRows]);
  const joinedSize = mul(mul(groupSize, lengthSize), batchSize);
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
  const toHeads = (rowsOfHeads: Value): Value =>
    reshape(rowsOfHeads, [product([rowsOf(rowsOfHeads), numHeads]), headDim]);
  const toCells = (grid: Value): Value => reshape(grid, [product([numKeyValueHeads, batch, gridRows]), headDim]);
  return {
    toGrid: (x) => gatherWith(toHeads(x), toGridIndex, (grad) => toHeads(gather(toCells(grad), fromGridIndex))),
    fromGrid: (grid) => {
      const back = (grad: Value): Value => toCells(mul(gather(toHeads(grad), toGridIndex), occupied()));
      return reshape(gatherWith(toCells(grid), fromGridIndex, back), [rows, numHeads * headDim]);
    },
    split: (flat, last) => reshapeTo(flat, splitTarget, [numKeyValueHeads, batch, gridRows, last]),
    join: (grid) => {
      const last = grid.shape[3] as Dim;
      const target = concat(
        [
          constant([numKeyValueHeads], [1]),
          joinedSize,
          typeof last === "number" ? constant([last], [1]) : sizes(grid, 3, 4),
        ],
        0,
      );
      return reshapeTo(grid, target, [numKeyValueHeads, joined, last]);
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
 * 0 where a query may look, −∞ where not, for queries at every position.
 * @param index  int64 [batch, length]
 * @returns [group · length, length]
 */
export function causalMask(index: Value, group: number): Value {
  const length = index.shape[1] as Dim;
  const positions = range(sizes(index, 1, 2), length);
  const mask = maskWhere(lessOrEqual(unsqueeze(positions, 0), unsqueeze(positions, 1))); // [length, length]
  const copies = add(mask, float32Constant(index.graph, new Float32Array(group), [group, 1, 1])); // [group, length, length]
  return reshape(copies, [product([group, length]), length]);
}

/**
 * The same for one query in each sequence, at `lastPosition`.
 * @param lastPosition  int64 [batch], counted in the sequence
 * @returns [batch, 1, length]
 */
export function lastTokenMask(index: Value, lastPosition: Value): Value {
  const length = index.shape[1] as Dim;
  const positions = range(sizes(index, 1, 2), length);
  return unsqueeze(maskWhere(lessOrEqual(positions, unsqueeze(lastPosition, 1))), 1);
}

function maskWhere(allowed: Value): Value {
  const scalar = (value: number): Value => float32Constant(allowed.graph, [value], []);
  return where(allowed, scalar(0), scalar(Number.NEGATIVE_INFINITY));
}

/** Position in its own sequence of each sequence's last token, int64 [batch]. */
export function lastPositions(index: Value, cell: Value, lastToken: Value): Value {
  const row = range(sizes(index, 0, 1), index.shape[0] as Dim);
  return sub(gather(cell, lastToken), mul(row, sizes(index, 1, 2)));
}
