import { InternalError } from "../../errors.ts";
import type { Value } from "../graph.ts";
import { broadcast } from "../shape.ts";
import { defineOp, required, single } from "./op.ts";
import { transposeLast } from "./shape-ops.ts";

const matmulOp = defineOp("MatMul", {
  infer: (inputs) => {
    const [a, b] = [required(inputs, 0), required(inputs, 1)];
    const [inner, outer] = [a.shape.at(-1), b.shape.at(-2)];
    if (inner !== outer) throw new InternalError("graph", `MatMul: [${a.shape}] and [${b.shape}] do not fit.`);
    const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
    return [{ type: a.type, shape: [...batch, a.shape.at(-2)!, b.shape.at(-1)!] }];
  },
  gradient: ({ inputs, outputGrad: dy }) => {
    const [a, b] = [required(inputs, 0), required(inputs, 1)];
    return [matmul(dy, transposeLast(b)), matmul(transposeLast(a), dy)];
  },
  isRecomputed: true,
});

/** a b over the last two dimensions; the ones before broadcast;  da = dy bᵀ, db = aᵀ dy. ONNX MatMul-13. */
export const matmul = (a: Value, b: Value): Value => single(matmulOp([a, b]));

export interface GemmOptions {
  /** Transpose the left matrix; such a product is not differentiated. */
  readonly transA?: boolean;
  readonly transB?: boolean;
  /** Factor of the product; 1 by default. */
  readonly alpha?: number;
}

const gemmOp = defineOp("Gemm", {
  infer: (inputs, { transA, transB }) => {
    const [a, b] = [required(inputs, 0), required(inputs, 1)];
    const [rows, inner] = transA ? a.shape.toReversed() : a.shape;
    const [other, columns] = transB ? b.shape.toReversed() : b.shape;
    if (a.shape.length !== 2 || b.shape.length !== 2 || inner !== other) {
      throw new InternalError("graph", `Gemm: [${a.shape}] does not meet a weight [${b.shape}].`);
    }
    return [{ type: a.type, shape: [rows!, columns!] }];
  },
  gradient: ({ inputs, outputGrad: dy, attributes }) => {
    const [a, b, c] = [required(inputs, 0), required(inputs, 1), inputs[2] ?? null];
    if (attributes.transA)
      throw new InternalError("graph", "a Gemm with a transposed left matrix has no gradient rule.");
    const alpha = (attributes.alpha as { readonly float: number } | undefined)?.float ?? 1;
    const isTransposed = attributes.transB === 1;
    const db = isTransposed ? product(dy, a, { transA: true, alpha }) : product(a, dy, { transA: true, alpha });
    return [product(dy, b, { transB: !isTransposed, alpha }), db, c && dy];
  },
});

/** α a b + c of matrices, either transposed on the way;  da = α dy bᵀ, db = α aᵀ dy, dc = dy. ONNX Gemm-13. */
export function product(
  a: Value,
  b: Value,
  { transA = false, transB = false, alpha = 1 }: GemmOptions = {},
  c: Value | null = null,
): Value {
  const attributes = {
    ...(transA ? { transA: 1 } : {}),
    ...(transB ? { transB: 1 } : {}),
    ...(alpha === 1 ? {} : { alpha: { float: alpha } }),
  };
  return single(gemmOp(c ? [a, b, c] : [a, b], attributes));
}

/**
 * x Wᵀ + b, the form in which checkpoints keep linear weights.
 * @param x       [tokens, in]
 * @param weight  [out, in]
 * @param bias    [out]
 */
export const gemm = (x: Value, weight: Value, bias: Value | null): Value => product(x, weight, { transB: true }, bias);

/**
 * x Wᵀ + b with a frozen weight that is unpacked where it is used, on the way forward and once more on the way back, so that
 * nothing of it is held in between;  dx = dy W.
 * @param unpack  [out, in], when what it is to be multiplied with is there
 */
export function productWithPacked(x: Value, unpack: (other: Value) => Value, bias: Value | null): Value {
  const weight = unpack(x);
  const rule = defineOp("Gemm", {
    infer: () => [{ type: x.type, shape: [x.shape[0]!, weight.shape[0]!] }],
    gradient: ({ outputGrad: dy }) => [product(dy, unpack(dy)), null, null],
  });
  return single(rule(bias ? [x, weight, bias] : [x, weight], { transB: 1 }));
}

const matmulNBitsOp = defineOp("MatMulNBits", {
  domain: "com.microsoft",
  infer: (inputs, attributes) => {
    const x = required(inputs, 0);
    return [{ type: x.type, shape: [...x.shape.slice(0, -1), attributes.N as number] }];
  },
  gradient: null, // linear() unpacks the weight for the way back
});

/** A linear weight [out, in] in blocks of 4 or 8 bits along `in`: w = scale · (q − zeroPoint). */
export interface BlockWeight {
  readonly bits: 4 | 8;
  readonly blockSize: number;
  readonly out: number;
  readonly in: number;
  /** uint8 [out, blocks, blockSize · bits / 8] */
  readonly quants: Value;
  /** float32 [out · blocks] */
  readonly scales: Value;
  /** float32 [out · blocks], or null for the middle of the range (8 or 128) */
  readonly zeroPoints: Value | null;
  /** int8: each block of activations gets a scale of its own and is multiplied as whole numbers. */
  readonly activations: "float32" | "int8";
}

/** x Wᵀ + b with a weight in blocks. com.microsoft MatMulNBits-1; accuracy_level 4 is its int8 product. */
export const matmulNBits = (x: Value, weight: BlockWeight, bias: Value | null): Value =>
  single(
    matmulNBitsOp([x, weight.quants, weight.scales, weight.zeroPoints, null, bias], {
      K: weight.in,
      N: weight.out,
      bits: weight.bits,
      block_size: weight.blockSize,
      accuracy_level: weight.activations === "int8" ? 4 : 0,
    }),
  );
