import { InputError } from "../errors.ts";
import { readTsv, readTsvColumns } from "../files/tsv.ts";
import { dataNotFound, findAllUnder, sentEvalRoots } from "./data-folder.ts";
import type { TransferTask } from "./tasks.ts";
import { joinTokens } from "./tokens.ts";
import {
  type Example,
  type SentEvalFiles,
  type Split,
  type TransferLayout,
  type TransferSet,
  transferLayouts,
} from "./transfer-sets.ts";

const ownRoots = [".", "transfer"];

/**
 * Reads a set from a folder with either layout: `transfer/MR/all.tsv` (header label, sentence; .tsv.gz too), or SentEval's
 * `downstream/MR/rt-polarity.pos`.
 * @throws InputError "data-not-found" naming the set and how to get it; "bad-row" with file and line
 */
export async function readTransferSet(task: TransferTask, folder: string): Promise<TransferSet> {
  const layout = transferLayouts[task];
  const ownFiles = Object.values(layout.files).map((file) => `${layout.folder}/${file}.tsv`);
  const own = await findAllUnder(folder, ownRoots, ownFiles);
  if (own) return readSplits(task, layout, own, (file) => readOwn(file, layout));
  const sentEvalFiles = Object.values(layout.sentEval.files);
  const sentEval = await findAllUnder(folder, sentEvalRoots, sentEvalFiles);
  if (!sentEval) throw await dataNotFound(task, folder, [`transfer/${ownFiles[0]}`, `downstream/${sentEvalFiles[0]}`]);
  if (layout.sentEval.form !== "fileForEachClass") {
    const { form } = layout.sentEval;
    return readSplits(task, layout, sentEval, (file) => readSentEval(file, form, layout));
  }
  const classes = await Promise.all(sentEval.map((file, label) => readClassFile(file, label)));
  return { task, classes: layout.classes, train: classes.flat() };
}

async function readSplits(
  task: TransferTask,
  { classes, files }: TransferLayout,
  found: readonly string[],
  read: (file: string) => Promise<Example[]>,
): Promise<TransferSet> {
  const examples = await Promise.all(found.map(read));
  for (const [i, file] of found.entries()) {
    if (examples[i]!.length === 0) throw noExample(file);
  }
  const splits = Object.keys(files) as Split[];
  const of = (split: Split): Example[] | undefined => examples[splits.indexOf(split)];
  const [dev, test] = [of("dev"), of("test")];
  return { task, classes, train: of("train")!, ...(dev ? { dev } : {}), ...(test ? { test } : {}) };
}

async function readOwn(file: string, { classes, isPair }: TransferLayout): Promise<Example[]> {
  const columns = isPair ? ["label", "sentence1", "sentence2"] : ["label", "sentence"];
  const examples: Example[] = [];
  for await (const { fields, where } of readTsvColumns(file, columns)) {
    const [label, ...sentences] = fields;
    examples.push({ sentences, label: labelOf(label, classes, where) });
  }
  return examples;
}

/** A corpus in latin1, every line one class. */
const noExample = (file: string): InputError =>
  new InputError("bad-row", `${file}: holds no example. Get the set again.`);

async function readClassFile(file: string, label: number): Promise<Example[]> {
  const examples: Example[] = [];
  for await (const { fields } of readTsv(file, { encoding: "latin1" })) {
    examples.push({ sentences: [joinTokens(fields.join(" "))], label });
  }
  if (examples.length === 0) throw noExample(file);
  return examples;
}

async function readSentEval(
  file: string,
  form: Exclude<SentEvalFiles["form"], "fileForEachClass">,
  { classes }: TransferLayout,
): Promise<Example[]> {
  const examples: Example[] = [];
  let isHeader = form === "paraphrase";
  for await (const { fields, where } of readTsv(file, { encoding: form === "questionClass" ? "latin1" : "utf8" })) {
    if (!isHeader) {
      const { label, sentences } = lineForms[form](fields);
      if (sentences.includes(undefined))
        throw new InputError("bad-row", `${where}: ${fields.length} fields are too few.`);
      const joined = sentences.map((sentence) => joinTokens(sentence!));
      examples.push({ sentences: joined, label: labelOf(label, classes, where) });
    }
    isHeader = false;
  }
  return examples;
}

type Line = { readonly label: string | undefined; readonly sentences: readonly (string | undefined)[] };

const lineForms: Record<Exclude<SentEvalFiles["form"], "fileForEachClass">, (fields: readonly string[]) => Line> = {
  labelLast: ([sentence, label]) => ({ label: label?.trim(), sentences: [sentence] }),
  questionClass: (fields) => {
    const [, label, sentence] = /^(\w+):\S*\s(.*)$/.exec(fields.join(" ")) ?? [];
    return { label, sentences: [sentence] };
  },
  paraphrase: ([label, , , first, second]) => ({ label, sentences: [first, second] }),
};

function labelOf(label: string | undefined, classes: readonly string[], where: string): number {
  const place = classes.indexOf(label ?? "");
  if (place >= 0) return place;
  throw new InputError(
    "bad-row",
    `${where}: the label is ${JSON.stringify(label ?? "")}, but must be one of ${classes}.`,
  );
}
