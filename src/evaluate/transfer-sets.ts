import type { TransferTask } from "./tasks.ts";

/** A sentence, or a pair of them, and its class. */
export interface Example {
  readonly sentences: readonly string[];
  /** Place in the set's `classes`. */
  readonly label: number;
}

/** A classification set. Without `test` there is no split, and folds of `train` take its place. */
export interface TransferSet {
  readonly task: TransferTask;
  readonly classes: readonly string[];
  readonly train: readonly Example[];
  readonly dev?: readonly Example[];
  readonly test?: readonly Example[];
}

export type Split = "train" | "dev" | "test";

/** Where a set is in our layout, `transfer/<folder>/<file>.tsv`, and how SentEval lays it out. */
export interface TransferLayout {
  readonly folder: string;
  readonly files: Readonly<Partial<Record<Split, string>>>;
  readonly classes: readonly string[];
  readonly isPair?: boolean;
  readonly sentEval: SentEvalFiles;
}

/** Files of SentEval under `downstream/`, and the form of their lines. */
export type SentEvalFiles =
  /** One file for each class, in the order of the classes. */
  | { readonly form: "fileForEachClass"; readonly files: readonly string[] }
  /** `sentence<tab>label` */
  | { readonly form: "labelLast"; readonly files: Readonly<Partial<Record<Split, string>>> }
  /** `COARSE:fine sentence` */
  | { readonly form: "questionClass"; readonly files: Readonly<Partial<Record<Split, string>>> }
  /** Header, then `label id id sentence sentence` with tabs between. */
  | { readonly form: "paraphrase"; readonly files: Readonly<Partial<Record<Split, string>>> };

const binary = (folder: string, negative: string, positive: string): TransferLayout => ({
  folder,
  files: { train: "all" },
  classes: ["0", "1"],
  sentEval: { form: "fileForEachClass", files: [`${folder}/${negative}`, `${folder}/${positive}`] },
});

/** @see SentEval, senteval/binary.py, sst.py, trec.py, mrpc.py */
export const transferLayouts: Readonly<Record<TransferTask, TransferLayout>> = {
  mr: binary("MR", "rt-polarity.neg", "rt-polarity.pos"),
  cr: binary("CR", "custrev.neg", "custrev.pos"),
  subj: binary("SUBJ", "subj.subjective", "subj.objective"),
  mpqa: binary("MPQA", "mpqa.neg", "mpqa.pos"),
  sst2: {
    folder: "SST2",
    files: { train: "train", dev: "dev", test: "test" },
    classes: ["0", "1"],
    sentEval: {
      form: "labelLast",
      files: {
        train: "SST/binary/sentiment-train",
        dev: "SST/binary/sentiment-dev",
        test: "SST/binary/sentiment-test",
      },
    },
  },
  trec: {
    folder: "TREC",
    files: { train: "train", test: "test" },
    classes: ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"],
    sentEval: { form: "questionClass", files: { train: "TREC/train_5500.label", test: "TREC/TREC_10.label" } },
  },
  mrpc: {
    folder: "MRPC",
    files: { train: "train", test: "test" },
    classes: ["0", "1"],
    isPair: true,
    sentEval: {
      form: "paraphrase",
      files: { train: "MRPC/msr_paraphrase_train.txt", test: "MRPC/msr_paraphrase_test.txt" },
    },
  },
};
