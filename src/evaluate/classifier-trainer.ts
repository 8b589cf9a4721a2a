import { type Session, Tensor } from "../runtime/session.ts";
import { adam, type ClassifierSizes } from "./classifier-graph.ts";
import type { RandomState } from "./random-state.ts";

/** Examples as numbers. */
export interface ClassifierData {
  /** [examples, width], the last column 1, which stands for the bias. */
  readonly features: Float32Array;
  readonly width: number;
  /** Class of each example. */
  readonly labels: Int32Array;
  readonly classes: number;
}

/** Examples to learn from and examples that say when to stop; one regression for each penalty. */
export interface Problem {
  readonly train: Int32Array;
  readonly dev: Int32Array;
}

/** The state of all regressions, and the passes over their examples. */
export class ClassifierTrainer {
  parameters: Tensor;
  #mean: Tensor;
  #variance: Tensor;
  readonly #steps: Int32Array;
  readonly #constant: Readonly<Record<string, Tensor>>;
  readonly #session: Session;
  readonly #problems: readonly Problem[];
  readonly #sizes: ClassifierSizes;
  readonly #random: RandomState;

  constructor(
    session: Session,
    data: ClassifierData,
    problems: readonly Problem[],
    penalties: readonly number[],
    sizes: ClassifierSizes,
    random: RandomState,
  ) {
    this.#session = session;
    this.#problems = problems;
    this.#sizes = sizes;
    this.#random = random;
    this.#steps = new Int32Array(problems.length);
    const shape = [problems.length, data.width, penalties.length * data.classes];
    const size = shape.reduce((a, b) => a * b);
    const bound = 1 / Math.sqrt(data.width - 1); // as torch.nn.Linear begins
    const initial = Float32Array.from({ length: size }, () => (2 * random.uniform() - 1) * bound);
    this.parameters = new Tensor("float32", initial, shape);
    this.#mean = new Tensor("float32", new Float32Array(size), shape);
    this.#variance = new Tensor("float32", new Float32Array(size), shape);
    const l2 = Float32Array.from({ length: shape[2]! }, (_, i) => penalties[Math.floor(i / data.classes)]!);
    this.#constant = {
      features: featureTensor(data),
      targets: targetTensor(data),
      penalties: new Tensor("float32", l2, [1, 1, l2.length]),
    };
  }

  /** One pass of every problem over its examples, in an order of its own. */
  async epoch(): Promise<void> {
    const { rows } = this.#sizes;
    const orders = this.#problems.map(({ train }) => this.#random.permutation(train.length).map((i) => train[i]!));
    const batches = Math.ceil(Math.max(...orders.map(({ length }) => length)) / rows);
    for (let batch = 0; batch < batches; batch++) {
      await this.#step(orders.map((order) => order.subarray(batch * rows, (batch + 1) * rows)));
    }
  }

  async #step(batches: readonly Int32Array[]): Promise<void> {
    const { problems, rows } = this.#sizes;
    const weights = new Float32Array(problems * rows);
    batches.forEach(({ length }, i) => {
      weights.fill(1 / length, i * rows, i * rows + length);
      if (length > 0) this.#steps[i]!++;
    });
    const column = (of: (problem: number) => number): Tensor =>
      new Tensor(
        "float32",
        Float32Array.from({ length: problems }, (_, i) => of(i)),
        [problems, 1, 1],
      );
    const next = await this.#session.run(
      {
        ...this.#constant,
        rows: rowTensor(batches, rows),
        weights: new Tensor("float32", weights, [problems, rows, 1]),
        isActive: column((i) => (batches[i]!.length > 0 ? 1 : 0)),
        bias1: column((i) => 1 - adam.beta1 ** this.#steps[i]!),
        bias2: column((i) => 1 - adam.beta2 ** this.#steps[i]!),
        parameters: this.parameters,
        mean: this.#mean,
        variance: this.#variance,
      },
      ["nextParameters", "nextMean", "nextVariance"],
    );
    this.parameters = next.nextParameters!;
    this.#mean = next.nextMean!;
    this.#variance = next.nextVariance!;
  }
}

export const featureTensor = ({ features, width }: ClassifierData): Tensor =>
  new Tensor("float32", features, [features.length / width, width]);

/** Classes as one-hot rows. */
function targetTensor({ labels, classes }: ClassifierData): Tensor {
  const targets = new Float32Array(labels.length * classes);
  labels.forEach((label, i) => {
    targets[i * classes + label] = 1;
  });
  return new Tensor("float32", targets, [labels.length, classes]);
}

/** Rows side by side, short lists filled up with row 0. */
export function rowTensor(lists: readonly Int32Array[], length: number): Tensor {
  const rows = new Int32Array(lists.length * length);
  for (const [i, list] of lists.entries()) rows.set(list, i * length);
  return new Tensor("int32", rows, [lists.length, length]);
}
