import { InternalError } from "../../errors.ts";
import type { Value } from "../graph.ts";
import { broadcast } from "../shape.ts";
import { defineOp, required, single } from "./op.ts";

const matmulOp = defineOp("MatMul", {
  infer: (inputs) => {
    const [a, b] = [required(inputs, 0), required(inputs, 1)];
    const [inner, outer] = [a.shape.at(-1), b.shape.at(-2)];
    if (inner !== outer) throw new InternalError("graph", `MatMul: [${a.shape}] and [${b.shape}] do not fit.`);
    const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
    return [{ type: a.type, shape: [...batch, a.shape.at(-2)!, b.shape.at(-1)!] }];
  },
});

/** a b over the last two dimensions; the ones before broadcast. ONNX MatMul-13. */
export const matmul = (a: Value, b: Value): Value => single(matmulOp([a, b]));

const gemmOp = defineOp("Gemm", {
  infer: (inputs) => {
    const [x, weight] = [required(inputs, 0), required(inputs, 1)];
    if (x.shape.length !== 2 || x.shape[1] !== weight.shape[1]) {
      throw new InternalError("graph", `Gemm: [${x.shape}] does not meet a weight [${weight.shape}].`);
    }
    return [{ type: x.type, shape: [x.shape[0]!, weight.shape[0]!] }];
  },
});

/**
 * x Wᵀ + b, the form in which checkpoints keep linear weights. ONNX Gemm-13 with transB.
 * @param x       [tokens, in]
 * @param weight  [out, in]
 * @param bias    [out]
 */
export const gemm = (x: Value, weight: Value, bias: Value | null): Value =>
  single(gemmOp(bias ? [x, weight, bias] : [x, weight], { transB: 1 }));

const matmulNBitsOp = defineOp("MatMulNBits", {
  domain: "com.microsoft",
  infer: (inputs, attributes) => {
    const x = required(inputs, 0);
    return [{ type: x.type, shape: [...x.shape.slice(0, -1), attributes.N as number] }];
  },
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
