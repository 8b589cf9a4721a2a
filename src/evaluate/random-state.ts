import { mersenne } from "pure-rand/generator/mersenne";

/**
 * numpy's legacy generator, `numpy.random.RandomState(seed)`: the same numbers, so that folds are those of scikit-learn.
 * Mersenne Twister MT19937; bounded integers by masking and rejection.
 * @see numpy, random/src/distributions/distributions.c, random_interval; _mt19937 legacy seeding
 */
export class RandomState {
  readonly #generator: ReturnType<typeof mersenne>;

  constructor(seed: number) {
    this.#generator = mersenne(seed);
  }

  /** A whole number from 0 up to and with `max`. */
  interval(max: number): number {
    if (max === 0) return 0;
    const mask = 2 ** (32 - Math.clz32(max)) - 1;
    for (;;) {
      const value = (this.#uint32() & mask) >>> 0;
      if (value <= max) return value;
    }
  }

  /** A number in [0, 1) with 53 random bits, `random_sample`. */
  uniform(): number {
    const [high, low] = [this.#uint32() >>> 5, this.#uint32() >>> 6];
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /** Shuffles in place. */
  shuffle(values: Int32Array): Int32Array {
    for (let i = values.length - 1; i > 0; i--) {
      const j = this.interval(i);
      const value = values[i]!;
      values[i] = values[j]!;
      values[j] = value;
    }
    return values;
  }

  /** 0 … count − 1 in random order. */
  permutation(count: number): Int32Array {
    return this.shuffle(Int32Array.from({ length: count }, (_, i) => i));
  }

  #uint32(): number {
    return this.#generator.next() >>> 0;
  }
}
