import { InternalError, ModelError } from "../errors.ts";
import type { ElementType, Graph, Value } from "../graph/graph.ts";
import { cast } from "../graph/ops/elementwise.ts";
import type { BlockWeight } from "../graph/ops/matmul.ts";
import type { Int8Weight, Nf4Weight } from "../graph/ops/quantized.ts";
import type { LoraPair, LoraSource } from "./lora.ts";
import { nf4Group, nf4Sizes } from "./nf4.ts";

/** A stretch of a file. */
export interface FileRange {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/** Whether a field of a stored tensor is a place in a file. */
export const isRange = (part: unknown): part is FileRange =>
  typeof part === "object" && part !== null && "offset" in part && "length" in part;

/** A tensor whose elements the runtime reads as they lie in the file. */
export interface DenseTensor extends FileRange {
  readonly kind: "dense";
  readonly type: "float32" | "float16" | "bfloat16";
  readonly shape: readonly number[];
}

/** A weight [out, in] in blocks along `in`: w = scale · (q − zeroPoint). */
export interface BlockTensor {
  readonly kind: "blocks";
  readonly bits: 4 | 8;
  readonly blockSize: number;
  readonly shape: readonly [number, number];
  /** uint8 [out, blocks, blockSize · bits / 8] */
  readonly quants: FileRange;
  /** float32 [out, blocks] */
  readonly scales: FileRange;
  /** float32 [out, blocks], or null for 2^(bits − 1) everywhere */
  readonly zeroPoints: FileRange | null;
  /** What the activations become for the product. */
  readonly activations: "float32" | "int8";
}

/** A weight [out, in] with a scale for each output channel: w = scale · q. */
export interface Int8Tensor {
  readonly kind: "int8";
  /** uint8 quants have their zero at 128. */
  readonly type: "int8" | "uint8";
  readonly shape: readonly [number, number];
  /** [in, out] */
  readonly quants: FileRange;
  /** float32 [out] */
  readonly scales: FileRange;
}

/** A weight [out, in] in NF4 blocks of 64 along `in`, see Nf4Blocks. */
export interface Nf4Tensor {
  readonly kind: "nf4";
  readonly shape: readonly [number, number];
  /** uint8 [out · in / 2] */
  readonly quants: FileRange;
  /** uint8 [groups · 256] */
  readonly codes: FileRange;
  /** float32 [groups] */
  readonly scales: FileRange;
  /** float32 [groups] */
  readonly means: FileRange;
}

export type StoredTensor = DenseTensor | BlockTensor | Int8Tensor | Nf4Tensor;

/** A checkpoint's tensors under the names the architectures use: those of transformers' base model class. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** File or folder, for error messages. */
  readonly source: string;
  /** What an inference graph computes in; float32 by default. */
  readonly activations?: "float32" | "float16";
}

/** A matrix in the graph. */
export type MatrixWeight =
  | { readonly kind: "dense"; readonly weight: Value }
  | ({ readonly kind: "blocks" } & BlockWeight)
  | ({ readonly kind: "int8" } & Int8Weight)
  | ({ readonly kind: "nf4" } & Nf4Weight);

/** Told the scope and input of every linear weight. */
export type Observer = (scope: string, x: Value) => void;

/** What else happens where a weight meets its input. */
export interface WeightHooks {
  readonly observer?: Observer | undefined;
  readonly lora?: LoraSource | undefined;
  /** The graph will be differentiated: quantised weights are unpacked, forward and back. */
  readonly isTrained?: boolean;
}

/** Weights of one module: names are looked up below `scope`, as in `model.layers.0.self_attn`. */
export class Weights {
  readonly #graph: Graph;
  readonly #checkpoint: Checkpoint;
  readonly #scope: string;
  readonly #hooks: WeightHooks;

  constructor(graph: Graph, checkpoint: Checkpoint, hooks: WeightHooks = {}, scope = "") {
    this.#graph = graph;
    this.#checkpoint = checkpoint;
    this.#hooks = hooks;
    this.#scope = scope;
  }

  at(name: string): Weights {
    return new Weights(this.#graph, this.#checkpoint, this.#hooks, `${this.#scope}${name}.`);
  }

  /** Says that `x` is about to meet this module's weight. */
  observe(x: Value): void {
    this.#hooks.observer?.(this.#scope.slice(0, -1), x);
  }

  /** What an adapter adds to this module's weight [out, in]; null where there is none. */
  lora(out: number, inputs: number): LoraPair | null {
    return this.#hooks.lora?.(this.#scope.slice(0, -1), out, inputs) ?? null;
  }

  get isTrained(): boolean {
    return this.#hooks.isTrained === true;
  }

  isDense(name: string): boolean {
    return this.#checkpoint.tensors.get(this.#scope + name)?.kind === "dense";
  }

  has(name: string): boolean {
    return this.#checkpoint.tensors.has(this.#scope + name);
  }

  /** A tensor as float32, whatever float type the file holds; the runtime folds the cast when it loads. */
  tensor(name: string, shape: readonly number[]): Value {
    const stored = this.#find(name, shape);
    if (stored.kind !== "dense") {
      throw new ModelError("unsupported-type", `${this.#where(name)} is quantised; it must be float here.`);
    }
    return cast(this.#graph.weight(this.#scope + name, stored.type, stored.shape, stored), "float32");
  }

  /** A tensor in the float type the file holds. */
  storedFloat(name: string, shape: readonly number[]): Value {
    const stored = this.#find(name, shape);
    if (stored.kind !== "dense") throw new InternalError("graph", `${this.#where(name)} is not float.`);
    return this.#graph.weight(this.#scope + name, stored.type, stored.shape, stored);
  }

  /** A matrix as it is stored: dense, or in a form that the runtime computes on. */
  matrix(name: string, shape: readonly [number, number]): MatrixWeight {
    const stored = this.#find(name, shape);
    if (stored.kind === "dense") return { kind: "dense", weight: this.tensor(name, shape) };
    const [out, columns] = stored.shape;
    const part = (suffix: string, type: ElementType, dims: readonly number[], range: FileRange): Value =>
      this.#graph.weight(`${this.#scope}${name}.${suffix}`, type, dims, range);
    if (stored.kind === "int8") {
      const quants = part("quants", stored.type, [columns, out], stored.quants);
      return { kind: "int8", out, in: columns, quants, scales: part("scales", "float32", [out], stored.scales) };
    }
    if (stored.kind === "nf4") {
      const quants = part("quants", "uint8", [(out * columns) / 2], stored.quants);
      const { groups } = nf4Sizes(out * columns);
      const codes = part("codes", "uint8", [groups, nf4Group], stored.codes);
      const scales = part("scales", "float32", [groups, 1], stored.scales);
      const means = part("means", "float32", [groups, 1], stored.means);
      return { kind: "nf4", out, in: columns, quants, codes, scales, means };
    }
    const { bits, blockSize, activations } = stored;
    const blocks = columns / blockSize;
    return {
      kind: "blocks",
      bits,
      blockSize,
      activations,
      out,
      in: columns,
      quants: part("quants", "uint8", [out, blocks, (blockSize * bits) / 8], stored.quants),
      scales: part("scales", "float32", [out * blocks], stored.scales),
      zeroPoints: stored.zeroPoints && part("zero_points", "float32", [out * blocks], stored.zeroPoints),
    };
  }

  #find(name: string, shape: readonly number[]): StoredTensor {
    const stored = this.#checkpoint.tensors.get(this.#scope + name);
    if (!stored) {
      throw new ModelError(
        "weight-missing",
        `${this.#where(name)} is missing. The checkpoint is incomplete or of another architecture than its config says.`,
      );
    }
    if (stored.shape.length !== shape.length || stored.shape.some((size, i) => size !== shape[i])) {
      throw new ModelError(
        "weight-shape",
        `${this.#where(name)} is [${stored.shape}], but the config asks for [${shape}]. ` +
          "Use the config that came with this checkpoint.",
      );
    }
    return stored;
  }

  #where(name: string): string {
    return `${this.#checkpoint.source}: "${this.#scope}${name}"`;
  }
}
