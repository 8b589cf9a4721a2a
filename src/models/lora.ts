import { InputError } from "../errors.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { product } from "../graph/ops/matmul.ts";

/** What is added to one linear weight: W' = W + scale · B A (LoRA, arXiv 2106.09685). */
export interface LoraPair {
  /** [rank, in] */
  readonly a: Value;
  /** [out, rank] */
  readonly b: Value;
  /** alpha / rank, or 1 where B holds it already. */
  readonly scale: number;
  /** What A meets: the input itself, or with some of its elements dropped. */
  readonly drop: (x: Value) => Value;
}

/** The pair of the linear weight [out, in] at `scope`, or null where the adapter leaves it as it is. */
export type LoraSource = (scope: string, out: number, inputs: number) => LoraPair | null;

/** Names of a pair's tensors below its linear weight, as PEFT has them. */
export const loraNames = (scope: string): { readonly a: string; readonly b: string } => ({
  a: `${scope}.lora_A.weight`,
  b: `${scope}.lora_B.weight`,
});

/** y + scale · (drop(x) Aᵀ) Bᵀ. */
export function addLora(y: Value, x: Value, { a, b, scale, drop }: LoraPair): Value {
  const low = product(drop(x), a, { transB: true }); // [tokens, rank]
  return product(low, b, { transB: true, alpha: scale }, y);
}

/**
 * Whether an adapter is on the linear weight at `scope`: "all-linear", or names that are the scope's last parts
 * (`q_proj`, `mlp.up_proj`), as in PEFT's target_modules.
 */
export function isTarget(scope: string, targets: LoraTargets): boolean {
  return targets === "all-linear" || targets.some((name) => scope === name || scope.endsWith(`.${name}`));
}
export type LoraTargets = "all-linear" | readonly string[];

/** One tensor of an adapter. */
export interface LoraTensor {
  readonly name: string;
  readonly shape: readonly [number, number];
}

/** Pairs as inputs of the graph, so that a run chooses its adapter. */
export class LoraInputs {
  /** A and B of every pair, in the order of the graph. */
  readonly tensors: LoraTensor[] = [];
  readonly values: Value[] = [];
  readonly #graph: Graph;
  readonly #options: LoraInputOptions;
  readonly #known = new Map<string, LoraPair>();
  readonly #scopes = new Set<string>();

  constructor(graph: Graph, options: LoraInputOptions) {
    this.#graph = graph;
    this.#options = options;
  }

  /** The same scope gives the same pair, however often its weight is used. */
  readonly pair: LoraSource = (scope, out, inputs) => {
    const { rank, scale, targets, drop } = this.#options;
    this.#scopes.add(scope);
    if (!isTarget(scope, targets)) return null;
    const known = this.#known.get(scope);
    if (known) return known;
    const names = loraNames(scope);
    const input = (name: string, shape: readonly [number, number]): Value => {
      const value = this.#graph.input(name, "float32", shape);
      this.tensors.push({ name, shape });
      this.values.push(value);
      return value;
    };
    const pair: LoraPair = {
      a: input(names.a, [rank, inputs]),
      b: input(names.b, [out, rank]),
      scale,
      drop: (x: Value) => drop?.(x, scope) ?? x,
    };
    this.#known.set(scope, pair);
    return pair;
  };

  /** @throws InputError "bad-option" for a target that is no linear weight of the graph, or a graph that has none */
  checkTargets(): void {
    if (this.#scopes.size === 0) {
      throw new InputError("bad-option", "layer 0 has no linear weight to train: choose a layer from 1.");
    }
    const { targets } = this.#options;
    const unknown = targets === "all-linear" ? undefined : targets.find((name) => !this.#has(name));
    if (unknown === undefined) return;
    const names = new Set([...this.#scopes].map((scope) => scope.split(".").at(-1)));
    throw new InputError(
      "bad-option",
      `no linear weight is called ${JSON.stringify(unknown)}. Targets are all-linear, or of ${[...names].join(", ")}.`,
    );
  }

  #has(target: string): boolean {
    return [...this.#scopes].some((scope) => isTarget(scope, [target]));
  }
}

export interface LoraInputOptions {
  readonly rank: number;
  readonly scale: number;
  readonly targets: LoraTargets;
  readonly drop?: (x: Value, scope: string) => Value;
}

/**
 * Inputs for the pairs of an adapter that is there, of any rank; B holds the scale already.
 * @param scopes  of the linear weights that it is on
 */
export function inputPairs(graph: Graph, scopes: ReadonlySet<string>): LoraSource {
  const known = new Map<string, LoraPair>();
  return (scope, out, inputs) => {
    if (!scopes.has(scope)) return null;
    const names = loraNames(scope);
    const pair = known.get(scope) ?? {
      a: graph.input(names.a, "float32", [`rank.${scope}`, inputs]),
      b: graph.input(names.b, "float32", [out, `rank.${scope}`]),
      scale: 1,
      drop: (x: Value) => x,
    };
    known.set(scope, pair);
    return pair;
  };
}
