export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
}

/** PyTorch's defaults, with no decay. */
const defaultAdamW: AdamWOptions = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };

/**
 * Adam with decoupled weight decay over one flat array of parameters: w ← (1 − ηλ) w − η m̂ / (√v̂ + ε).
 * @see arXiv 1711.05101, algorithm 2
 */
export class AdamW {
  /** Steps done. */
  step = 0;
  /** First and second moments, for a checkpoint. */
  readonly mean: Float32Array;
  readonly variance: Float32Array;
  readonly #options: AdamWOptions;

  constructor(size: number, options: AdamWOptions = defaultAdamW) {
    this.mean = new Float32Array(size);
    this.variance = new Float32Array(size);
    this.#options = options;
  }

  /** @param gradients  parts that together are as long as `parameters` */
  update(parameters: Float32Array, gradients: readonly Float32Array[], learningRate: number): void {
    const { beta1, beta2, epsilon, weightDecay } = this.#options;
    const { mean, variance } = this;
    this.step++;
    const size = learningRate / (1 - beta1 ** this.step);
    const varianceBias = Math.sqrt(1 - beta2 ** this.step);
    const decay = 1 - learningRate * weightDecay;
    let i = 0;
    for (const part of gradients) {
      for (let at = 0; at < part.length; at++, i++) {
        const gradient = part[at]!;
        const m = beta1 * mean[i]! + (1 - beta1) * gradient;
        const v = beta2 * variance[i]! + (1 - beta2) * gradient * gradient;
        mean[i] = m;
        variance[i] = v;
        parameters[i] = decay * parameters[i]! - (size * m) / (Math.sqrt(v) / varianceBias + epsilon);
      }
    }
  }
}

/** √Σ g². */
function globalNorm(gradients: readonly Float32Array[]): number {
  let sum = 0;
  for (const part of gradients) for (let i = 0; i < part.length; i++) sum += part[i]! * part[i]!;
  return Math.sqrt(sum);
}

/**
 * Scales gradients down to a global norm of `maxNorm`, in place; smaller ones stay.
 * @returns the norm before
 */
export function clipByGlobalNorm(gradients: readonly Float32Array[], maxNorm: number): number {
  const norm = globalNorm(gradients);
  const factor = maxNorm / (norm + 1e-6); // as torch.nn.utils.clip_grad_norm_
  if (factor < 1) for (const part of gradients) for (let i = 0; i < part.length; i++) part[i]! *= factor;
  return norm;
}
