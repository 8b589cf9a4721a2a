import type { Graph } from "../graph/graph.ts";
import { Session, Tensor } from "../runtime/session.ts";
import { BestSnapshots, type Fitted } from "./best-snapshots.ts";
import { type ClassifierSizes, logitsGraph, trainingStepGraph } from "./classifier-graph.ts";
import {
  type ClassifierData,
  ClassifierTrainer,
  featureTensor,
  type Problem,
  rowTensor,
} from "./classifier-trainer.ts";
import type { RandomState } from "./random-state.ts";

/** How SentEval trains. @see SentEval, senteval/tools/classifier.py */
export interface TrainingSettings {
  readonly batchSize: number;
  /** Passes over the examples between two looks at the held-out accuracy. */
  readonly epochSize: number;
  /** How often the accuracy may fail to grow, over the whole training, before the next failure ends it. */
  readonly tenacity: number;
  readonly maxEpochs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Trains logistic regressions side by side: every problem with every penalty.
 * @returns [problem][penalty]
 */
export async function trainRegressions(
  data: ClassifierData,
  problems: readonly Problem[],
  penalties: readonly number[],
  settings: TrainingSettings,
  random: RandomState,
): Promise<Fitted[][]> {
  const sizes: ClassifierSizes = {
    problems: problems.length,
    penalties: penalties.length,
    classes: data.classes,
    features: data.width,
    rows: settings.batchSize,
  };
  const step = await openSession(trainingStepGraph(sizes));
  const devRows = Math.max(...problems.map(({ dev }) => dev.length));
  const look = await openSession(logitsGraph({ ...sizes, rows: devRows }));
  try {
    const trainer = new ClassifierTrainer(step, data, problems, penalties, sizes, random);
    const best = new BestSnapshots(sizes, settings.tenacity);
    for (let epochs = 0; epochs <= settings.maxEpochs && !best.isDone; epochs += settings.epochSize) {
      settings.signal?.throwIfAborted();
      for (let pass = 0; pass < settings.epochSize; pass++) await trainer.epoch();
      const predicted = await predictRows(
        look,
        data,
        trainer.parameters,
        problems.map(({ dev }) => dev),
        { ...sizes, rows: devRows },
      );
      best.see(
        predicted.map((ofPenalties, i) =>
          ofPenalties.map((classes) => accuracy(classes, problems[i]!.dev, data.labels)),
        ),
        trainer.parameters.data as Float32Array,
      );
    }
    return best.results;
  } finally {
    await step.close();
    await look.close();
  }
}

/** Classes of `rows[i]` by the classifier `fitted[i]`. */
export async function predict(
  data: ClassifierData,
  fitted: readonly Fitted[],
  rows: readonly Int32Array[],
): Promise<Int32Array[]> {
  const longest = Math.max(...rows.map(({ length }) => length));
  const sizes = { problems: fitted.length, penalties: 1, classes: data.classes, features: data.width, rows: longest };
  const session = await openSession(logitsGraph(sizes));
  const joined = new Float32Array(fitted.length * data.width * data.classes);
  for (const [i, { parameters }] of fitted.entries()) joined.set(parameters, i * parameters.length);
  const parameters = new Tensor("float32", joined, [fitted.length, data.width, data.classes]);
  try {
    return (await predictRows(session, data, parameters, rows, sizes)).map(([classes]) => classes!);
  } finally {
    await session.close();
  }
}

/** One thread: the steps are too small to share. */
const openSession = (graph: Graph): Promise<Session> => Session.create(graph, { threads: 1 });

/** Predicted classes of each list of rows, [problem][penalty][row]. */
async function predictRows(
  session: Session,
  data: ClassifierData,
  parameters: Tensor,
  lists: readonly Int32Array[],
  { penalties, classes, rows }: ClassifierSizes,
): Promise<Int32Array[][]> {
  const feeds = { features: featureTensor(data), rows: rowTensor(lists, rows), parameters };
  const { logits } = await session.run(feeds, ["logits"]);
  const values = logits!.data as Float32Array; // [problems, rows, penalties * classes]
  return lists.map(({ length }, problem) =>
    Array.from({ length: penalties }, (_, penalty) =>
      Int32Array.from({ length }, (_, row) =>
        largest(values, ((problem * rows + row) * penalties + penalty) * classes, classes),
      ),
    ),
  );
}

/** Place of the largest of `count` values from `start`; the first of equal ones. */
function largest(values: Float32Array, start: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if (values[start + i]! > values[start + best]!) best = i;
  return best;
}

/** Share of rows whose class was predicted. */
export function accuracy(predicted: Int32Array, rows: Int32Array, labels: Int32Array): number {
  return predicted.filter((label, i) => label === labels[rows[i]!]).length / rows.length;
}
