import { absmaxValues, type Nf4Blocks, nf4Values } from "../src/models/nf4.ts";

/** The weights that NF4 blocks stand for. */
export function nf4Numbers({ quants, codes, scales, means }: Nf4Blocks): Float32Array {
  return Float32Array.from({ length: quants.length * 2 }, (_, i) => {
    const quant = i % 2 === 0 ? quants[i >> 1]! >> 4 : quants[i >> 1]! & 15;
    const [block, group] = [i >> 6, i >> 14];
    const absmax = Math.fround(Math.fround(Math.fround(absmaxValues[codes[block]!]!) * scales[group]!) + means[group]!);
    return nf4Values[quant]! * absmax;
  });
}
