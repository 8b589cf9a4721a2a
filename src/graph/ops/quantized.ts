import { InternalError } from "../../errors.ts";
import { fixed, float32Constant, type Value } from "../graph.ts";
import { add, max, mul, neg } from "./elementwise.ts";
import { product } from "./matmul.ts";
import { defineOp, required, single } from "./op.ts";
import { reduceMax, reduceMin } from "./reduce.ts";
import { expandTo, sizes } from "./shape-ops.ts";

/** Rows of numbers as unsigned bytes: x = scale · (q − 128). */
export interface QuantizedRows {
  /** uint8 [rows, columns] */
  readonly quants: Value;
  /** float32 [rows, 1] */
  readonly scales: Value;
}

const quantizeOp = defineOp("QuantizeLinear", {
  infer: (inputs) => [{ type: "uint8", shape: required(inputs, 0).shape }],
  gradient: null,
});

/** Zero of the unsigned bytes: the runtime multiplies unsigned activations many times faster than signed ones. */
export const byteZero = 128;

/**
 * A scale for each row, max |x| / 127, and the row in units of it. A row is one block of the operator's, whose threads then
 * share the rows; with a scale for each index of an axis they share the numbers of one row after the other, and two threads
 * take longer than one. ONNX QuantizeLinear-23.
 * @param x  float32 [rows, columns]
 */
export function quantizeByRow(x: Value): QuantizedRows {
  const [rows] = x.shape;
  const [highest, lowest] = [reduceMax(x, 1, { keepDims: true }), reduceMin(x, 1, { keepDims: true })];
  const largest = max(highest, neg(lowest)); // [rows, 1]; |x| itself would be written and read again
  const smallest = float32Constant(x.graph, [1e-30], []); // a row of zeros divides by it
  const scales = add(mul(largest, float32Constant(x.graph, [1 / 127], [])), smallest);
  const zeros = expandTo(x.graph.constant("uint8", [1, 1], Uint8Array.of(byteZero)), sizes(scales, 0, 2), [rows!, 1]);
  const attributes = { axis: 1, block_size: fixed(x.shape[1], "a row's width") };
  return { quants: single(quantizeOp([x, scales, zeros], attributes)), scales };
}

const matmulIntegerToFloatOp = defineOp("MatMulIntegerToFloat", {
  domain: "com.microsoft",
  infer: (inputs) => {
    const [a, b] = [required(inputs, 0), required(inputs, 1)];
    if (a.shape.at(-1) !== b.shape[0]) {
      throw new InternalError("graph", `MatMulIntegerToFloat: [${a.shape}] and [${b.shape}] do not fit.`);
    }
    return [{ type: "float32", shape: [...a.shape.slice(0, -1), b.shape[1]!] }];
  },
  gradient: null, // linear() unpacks the weight for the way back
});

/** A linear weight with a scale for each output channel: w = scale · q, or scale · (q − 128) for unsigned quants. */
export interface Int8Weight {
  readonly out: number;
  readonly in: number;
  /** int8 or uint8 [in, out] */
  readonly quants: Value;
  /** float32 [out] */
  readonly scales: Value;
}

/** Σ (q − 128) w for unsigned bytes q [rows, in], exact in int32, and then scaled by column. com.microsoft MatMulIntegerToFloat-1. */
export function integerProduct(quants: Value, weight: Int8Weight): Value {
  const { graph } = quants;
  const one = float32Constant(graph, [1], []);
  const zero = graph.constant("uint8", [], Uint8Array.of(byteZero));
  const weightZero = weight.quants.type === "uint8" ? zero : null;
  return single(matmulIntegerToFloatOp([quants, weight.quants, one, weight.scales, zero, weightZero]));
}

/** x Wᵀ with whole numbers. */
export const matmulInt8 = (x: QuantizedRows, weight: Int8Weight): Value =>
  mul(integerProduct(x.quants, weight), x.scales);

/** A linear weight [out, in] in NF4 blocks along `in`: w = absmax · value[q], absmax = scale · value[code] + mean. */
export interface Nf4Weight {
  readonly out: number;
  readonly in: number;
  /** uint8 [out · in / 2] */
  readonly quants: Value;
  /** uint8 [groups, blocks of a group] */
  readonly codes: Value;
  /** float32 [groups, 1] */
  readonly scales: Value;
  /** float32 [groups, 1] */
  readonly means: Value;
}

/**
 * x Wᵀ with an NF4 weight; activations stay float32. The runtime unpacks the weight in no more than a sixth of the time that
 * operators take;  dx = dy W by those, since its dy W (transB 0) is wrong in 1.30. com.microsoft MatMulBnb4-1, quant_type 1.
 * @param absmax  float32 [out · in / blockSize]
 * @param unpack  [out, in], when what it is to be multiplied with is there
 */
export function matmulNf4(
  x: Value,
  weight: Nf4Weight,
  absmax: Value,
  blockSize: number,
  unpack: (other: Value) => Value,
): Value {
  const rule = defineOp("MatMulBnb4", {
    domain: "com.microsoft",
    infer: () => [{ type: x.type, shape: [...x.shape.slice(0, -1), weight.out] }],
    gradient: ({ outputGrad: dy }) => [product(dy, unpack(dy)), null, null],
  });
  const attributes = { K: weight.in, N: weight.out, block_size: blockSize, quant_type: 1 };
  return single(rule([x, weight.quants, absmax], attributes));
}
