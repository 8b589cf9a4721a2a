import { InputError } from "../errors.ts";
import { readTable } from "../files/table.ts";

export interface NliColumns {
  readonly premise: string;
  readonly hypothesis: string;
  readonly label: string;
}

export interface Triple {
  readonly premise: string;
  readonly entailed: string;
  readonly contradicted: string;
}

export interface NliTriples {
  readonly triples: Triple[];
  /** Rows whose label says neither, or of which others say the contrary, whose texts are the same, and rows that are wrong. */
  readonly unused: number;
}

/** What labels mean: by name, by first letter, or by SNLI's and MNLI's number. */
const entailments = new Set(["entailment", "entailed", "entails", "e", "0"]);
const contradictions = new Set(["contradiction", "contradicted", "contradicts", "c", "2"]);

/**
 * Triples of a premise, a hypothesis it entails and one it contradicts, out of NLI rows: of each premise the entailed and the
 * contradicted ones are paired off in order, the shorter list repeated.
 * @throws InputError "bad-row" for a file without these columns
 */
export async function nliTriples(files: readonly string[], columns: NliColumns): Promise<NliTriples> {
  const premises = new Map<string, { entailed: string[]; contradicted: string[] }>();
  let unused = 0;
  for (const file of files) {
    for await (const { values, where, problem } of readTable(file)) {
      if (problem) {
        unused++;
        continue;
      }
      const missing = Object.values(columns).find((name) => values[name] === undefined);
      if (missing !== undefined) {
        throw new InputError(
          "bad-row",
          `${where}: no column "${missing}"; there are ${Object.keys(values).join(", ")}.`,
        );
      }
      const [premise, hypothesis] = [values[columns.premise], values[columns.hypothesis]].map(oneLine);
      const label = String(values[columns.label]).trim().toLowerCase();
      const lists = premises.get(premise ?? "") ?? { entailed: [], contradicted: [] };
      if (!premise || !hypothesis || hypothesis === premise) unused++;
      else if (entailments.has(label)) lists.entailed.push(hypothesis);
      else if (contradictions.has(label)) lists.contradicted.push(hypothesis);
      else unused++;
      if (premise) premises.set(premise, lists);
    }
  }
  for (const lists of premises.values()) {
    const [entailed, contradicted] = [new Set(lists.entailed), new Set(lists.contradicted)];
    const both = lists.entailed.length + lists.contradicted.length;
    lists.entailed = lists.entailed.filter((hypothesis) => !contradicted.has(hypothesis));
    lists.contradicted = lists.contradicted.filter((hypothesis) => !entailed.has(hypothesis));
    unused += both - lists.entailed.length - lists.contradicted.length;
  }
  return { triples: [...premises].flatMap(([premise, lists]) => pairOff(premise, lists)), unused };
}

/** A text as a field of a tab-separated file. */
const oneLine = (value: unknown): string | null =>
  typeof value === "string" && value.trim() !== "" ? value.trim().replace(/\s+/g, " ") : null;

function pairOff(premise: string, lists: { entailed: string[]; contradicted: string[] }): Triple[] {
  const [entailed, contradicted] = [[...new Set(lists.entailed)], [...new Set(lists.contradicted)]];
  if (entailed.length === 0 || contradicted.length === 0) return [];
  const count = Math.max(entailed.length, contradicted.length);
  return Array.from({ length: count }, (_, i) => ({
    premise,
    entailed: entailed[i % entailed.length]!,
    contradicted: contradicted[i % contradicted.length]!,
  }));
}
