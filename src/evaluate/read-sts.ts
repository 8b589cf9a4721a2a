import { InputError } from "../errors.ts";
import { numberField, readTsv, readTsvColumns, type TsvRow } from "../files/tsv.ts";
import { dataNotFound, findAllUnder, findUnder, packagedDev, sentEvalRoots } from "./data-folder.ts";
import type { SentencePair, StsSet, StsSubset } from "./sts.ts";
import type { StsTask } from "./tasks.ts";
import { joinTokens } from "./tokens.ts";

/** Subsets as SentEval has them; the SMT part of STS13 was never free. */
const yearSubsets: Readonly<Partial<Record<StsTask, readonly string[]>>> = {
  sts12: ["MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN", "surprise.SMTnews"],
  sts13: ["FNWN", "headlines", "OnWN"],
  sts14: ["deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"],
  sts15: ["answers-forums", "answers-students", "belief", "headlines", "images"],
  sts16: ["answer-answer", "headlines", "plagiarism", "postediting", "question-question"],
};

/** Sets of one subset: its split, its file in either layout, and the columns of SentEval's. */
const singles: Readonly<Partial<Record<StsTask, SingleSet>>> = {
  stsb: { split: "test", own: "STSB/test.tsv", sentEval: "STS/STSBenchmark/sts-test.csv", columns: [5, 6, 4] },
  "stsb-dev": { split: "dev", own: "STSB/dev.tsv", sentEval: "STS/STSBenchmark/sts-dev.csv", columns: [5, 6, 4] },
  sickr: {
    split: "test",
    own: "SICKR/test.tsv",
    sentEval: "SICK/SICK_test_annotated.txt",
    columns: [1, 2, 3],
    header: true,
  },
};

interface SingleSet {
  readonly split: string;
  readonly own: string;
  readonly sentEval: string;
  /** Places of the two sentences and of the score in SentEval's file. */
  readonly columns: readonly [number, number, number];
  readonly header?: boolean;
}

const ownRoots = [".", "sts"];

/**
 * Reads a set from a folder with either layout: `sts/STS12/MSRpar.tsv` (header score, sentence1, sentence2; .tsv.gz too;
 * or `STS12/test.tsv` with all pairs), or SentEval's `downstream/STS/STS12-en-test/STS.input.MSRpar.txt`. The development
 * split of STS-B comes from the package where the folder lacks it.
 * @throws InputError "data-not-found" naming the set and how to get it; "bad-row" with file and line
 */
export async function readStsSet(task: StsTask, folder: string): Promise<StsSet> {
  const single = singles[task];
  return { task, subsets: single ? [await readSingle(task, single, folder)] : await readYear(task, folder) };
}

async function readSingle(task: StsTask, set: SingleSet, folder: string): Promise<StsSubset> {
  const own = await findUnder(folder, ownRoots, set.own);
  const sentEval = own ? undefined : await findUnder(folder, sentEvalRoots, set.sentEval);
  if (sentEval) return { name: set.split, pairs: await readSentEvalSingle(sentEval, set) };
  if (own) return { name: set.split, pairs: await readPairs(own) };
  if (task === "stsb-dev") return { name: set.split, pairs: await readPairs(packagedDev) };
  throw await dataNotFound(task, folder, [`sts/${set.own}`, `downstream/${set.sentEval}`]);
}

async function readYear(task: StsTask, folder: string): Promise<StsSubset[]> {
  const names = yearSubsets[task]!;
  const year = task.toUpperCase();
  const own = await findAllUnder(
    folder,
    ownRoots,
    names.map((name) => `${year}/${name}.tsv`),
  );
  if (own) return Promise.all(own.map(async (file, i) => ({ name: names[i]!, pairs: await readPairs(file) })));
  const pooled = await findUnder(folder, ownRoots, `${year}/test.tsv`);
  if (pooled) return [{ name: "test", pairs: await readPairs(pooled) }];
  const sentEval = (name: string, kind: string): string => `STS/${year}-en-test/STS.${kind}.${name}.txt`;
  const files = names.flatMap((name) => [sentEval(name, "input"), sentEval(name, "gs")]);
  const found = await findAllUnder(folder, sentEvalRoots, files);
  if (!found) throw await dataNotFound(task, folder, [`sts/${year}/${names[0]}.tsv`, `downstream/${files[0]}`]);
  return Promise.all(
    names.map(async (name, i) => ({ name, pairs: await readSentEvalPairs(found[2 * i]!, found[2 * i + 1]!) })),
  );
}

async function readPairs(file: string): Promise<SentencePair[]> {
  const pairs: SentencePair[] = [];
  for await (const { fields, where } of readTsvColumns(file, ["sentence1", "sentence2", "score"])) {
    pairs.push({ sentence1: fields[0]!, sentence2: fields[1]!, score: numberField(fields[2], "score", where) });
  }
  return nonEmpty(pairs, file);
}

/** Sentences in one file and scores, line by line, in another; a pair without a score was not rated. */
async function readSentEvalPairs(inputFile: string, scoreFile: string): Promise<SentencePair[]> {
  const scores: TsvRow[] = [];
  for await (const row of readTsv(scoreFile)) scores.push(row);
  const pairs: SentencePair[] = [];
  let line = 0;
  for await (const { fields, where } of readTsv(inputFile)) {
    const score = scores[line++];
    if (!score) throw new InputError("bad-row", `${where}: ${scoreFile} has no line for it. Get both files again.`);
    if (score.fields[0]!.trim() === "") continue;
    if (fields.length < 2)
      throw new InputError("bad-row", `${where}: no tab; a line is two sentences with a tab between.`);
    const [sentence1, sentence2] = fields.map(joinTokens);
    pairs.push({
      sentence1: sentence1!,
      sentence2: sentence2!,
      score: numberField(score.fields[0], "score", score.where),
    });
  }
  if (line < scores.length) {
    const what = `${line} lines, but ${scoreFile} has ${scores.length}`;
    throw new InputError("bad-row", `${inputFile}: ${what}. Get both files again.`);
  }
  return nonEmpty(pairs, inputFile);
}

async function readSentEvalSingle(file: string, { columns, header }: SingleSet): Promise<SentencePair[]> {
  const [first, second, rating] = columns;
  const pairs: SentencePair[] = [];
  let isHeader = header === true;
  for await (const { fields, where } of readTsv(file)) {
    if (!isHeader) {
      const score = numberField(fields[rating], "score", where);
      if (fields.length <= Math.max(...columns))
        throw new InputError("bad-row", `${where}: only ${fields.length} fields.`);
      pairs.push({ sentence1: joinTokens(fields[first]!), sentence2: joinTokens(fields[second]!), score });
    }
    isHeader = false;
  }
  return nonEmpty(pairs, file);
}

function nonEmpty(pairs: SentencePair[], file: string): SentencePair[] {
  if (pairs.length > 0) return pairs;
  throw new InputError("bad-row", `${file}: holds no pair. Get the set again.`);
}
