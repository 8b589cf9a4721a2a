import { cosineSimilarity } from "../embed/pooling.ts";
import { InputError } from "../errors.ts";
import { spearman } from "../evaluate/correlation.ts";
import type { VectorOf } from "../evaluate/sts.ts";
import { numberField, readTsv, readTsvColumns } from "../files/tsv.ts";

/** Labelled texts that say which of two recipes is better. */
export interface Labelled {
  readonly kind: "pairs" | "triples";
  /** Texts of each item: two sentences, or anchor, positive and hard negative. */
  readonly items: readonly (readonly string[])[];
  /** What each pair's two sentences were given; none for triples. */
  readonly labels: readonly number[];
  /** Items so ordered that every beginning is a fair sample. */
  readonly order: readonly number[];
  /**
   * Quality on some items, the higher the better: Spearman's correlation × 100 for pairs, for triples the percentage whose
   * positive is nearer than the hard negative.
   */
  score(indexes: readonly number[], vectorOf: VectorOf): number;
}

export interface ScoredPair {
  readonly sentence1: string;
  readonly sentence2: string;
  readonly score: number;
}

export function labelledPairs(pairs: readonly ScoredPair[]): Labelled {
  const items = pairs.map(({ sentence1, sentence2 }) => [sentence1, sentence2]);
  return {
    kind: "pairs",
    items,
    labels: pairs.map(({ score }) => score),
    order: spreadOrder(pairs.map(({ score }) => score)),
    score(indexes, vectorOf) {
      const cosines = indexes.map((i) => cosineSimilarity(vectorOf(items[i]![0]!), vectorOf(items[i]![1]!)));
      const scores = indexes.map((i) => pairs[i]!.score);
      return 100 * (spearman(cosines, scores) || 0);
    },
  };
}

export function labelledTriples(items: readonly (readonly string[])[]): Labelled {
  return {
    kind: "triples",
    items,
    labels: [],
    order: spreadOrder(items.map((_, i) => i)),
    score(indexes, vectorOf) {
      const right = indexes.filter((i) => {
        const [anchor, positive, negative] = items[i]!.map(vectorOf) as [Float32Array, Float32Array, Float32Array];
        return cosineSimilarity(anchor, positive) > cosineSimilarity(anchor, negative);
      });
      return (100 * right.length) / indexes.length;
    },
  };
}

/**
 * Reads a tab-separated file with a header: pairs with score, sentence1 and sentence2, or triples with sent0, sent1 and
 * hard_neg.
 * @throws InputError "bad-row"
 */
export async function readLabelled(file: string): Promise<Labelled> {
  let header: readonly string[] = [];
  for await (const { fields } of readTsv(file)) {
    header = fields;
    break;
  }
  if (header.includes("hard_neg")) {
    const items: string[][] = [];
    for await (const { fields } of readTsvColumns(file, ["sent0", "sent1", "hard_neg"])) items.push([...fields]);
    return enough(labelledTriples(items), file);
  }
  const pairs: ScoredPair[] = [];
  for await (const { fields, where } of readTsvColumns(file, ["sentence1", "sentence2", "score"])) {
    pairs.push({ sentence1: fields[0]!, sentence2: fields[1]!, score: numberField(fields[2], "score", where) });
  }
  return enough(labelledPairs(pairs), file);
}

function enough(labelled: Labelled, file: string): Labelled {
  if (labelled.items.length >= 20) return labelled;
  throw new InputError("bad-row", `${file}: ${labelled.items.length} rows are too few to search on; 20 are the least.`);
}

export interface Halves {
  readonly search: Labelled;
  readonly heldOut: Labelled;
}

/** Two halves that share no item. The spread order has the even ranks first, so that both spread over all scores. */
export function splitHalves({ order, ...labelled }: Labelled): Halves {
  const middle = Math.ceil(order.length / 2);
  return {
    search: { ...labelled, order: order.slice(0, middle) },
    heldOut: { ...labelled, order: order.slice(middle) },
  };
}

/** The distinct texts of some items. */
export const textsOf = ({ items }: Pick<Labelled, "items">, indexes: readonly number[]): string[] => [
  ...new Set(indexes.flatMap((i) => items[i]!)),
];

/** Indexes by value, read in bit-reversed order, so that every beginning spreads over all values. */
function spreadOrder(values: readonly number[]): number[] {
  const sorted = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]! || a - b);
  const bits = Math.max(1, Math.ceil(Math.log2(values.length)));
  const reversed = (n: number): number => {
    let result = 0;
    for (let bit = 0; bit < bits; bit++) if (n & (1 << bit)) result |= 1 << (bits - 1 - bit);
    return result;
  };
  return Array.from({ length: 1 << bits }, (_, n) => reversed(n)).flatMap((place) => sorted[place] ?? []);
}
