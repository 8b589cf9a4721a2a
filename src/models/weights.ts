import { ModelError } from "../errors.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { cast } from "../graph/ops/elementwise.ts";
import type { BlockWeight } from "../graph/ops/matmul.ts";

/** A stretch of a file. */
export interface FileRange {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

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
}

export type StoredTensor = DenseTensor | BlockTensor;

/** A checkpoint's tensors under the names the architectures use: those of transformers' base model class. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** File or folder, for error messages. */
  readonly source: string;
}

/** Weights of one module: names are looked up below `scope`, as in `model.layers.0.self_attn`. */
export class Weights {
  readonly #graph: Graph;
  readonly #checkpoint: Checkpoint;
  readonly #scope: string;

  constructor(graph: Graph, checkpoint: Checkpoint, scope = "") {
    this.#graph = graph;
    this.#checkpoint = checkpoint;
    this.#scope = scope;
  }

  at(name: string): Weights {
    return new Weights(this.#graph, this.#checkpoint, `${this.#scope}${name}.`);
  }

  has(name: string): boolean {
    return this.#checkpoint.tensors.has(this.#scope + name);
  }

  /** A tensor as float32, whatever float type the file holds; the runtime folds the cast when it loads. */
  tensor(name: string, shape: readonly number[]): Value {
    const stored = this.#find(name, shape);
    if (stored.kind === "blocks") {
      throw new ModelError("unsupported-type", `${this.#where(name)} is quantised; it must be float here.`);
    }
    return cast(this.#graph.weight(this.#scope + name, stored.type, stored.shape, stored), "float32");
  }

  /** A matrix as it is stored: dense, or in blocks that the runtime computes on. */
  matrix(name: string, shape: readonly [number, number]): Value | BlockWeight {
    const stored = this.#find(name, shape);
    if (stored.kind === "dense") return this.tensor(name, shape);
    const [out, columns] = stored.shape;
    const blocks = columns / stored.blockSize;
    const part = (suffix: string, type: "uint8" | "float32", dims: readonly number[], range: FileRange): Value =>
      this.#graph.weight(`${this.#scope}${name}.${suffix}`, type, dims, range);
    return {
      bits: stored.bits,
      blockSize: stored.blockSize,
      out,
      in: columns,
      quants: part("quants", "uint8", [out, blocks, (stored.blockSize * stored.bits) / 8], stored.quants),
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
