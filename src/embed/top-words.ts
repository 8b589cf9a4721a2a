/** A token that an embedding stands for. */
export interface Word {
  /** The token's text, a space in front where it begins a word. */
  readonly text: string;
  readonly id: number;
  /** That the model would say it next, in [0, 1]. */
  readonly probability: number;
}

/** The `count` most probable tokens, the first the most probable: softmax of the scores. */
export function topTokens(
  scores: Float32Array,
  count: number,
): { readonly id: number; readonly probability: number }[] {
  const highest = scores.reduce((max, score) => Math.max(max, score), Number.NEGATIVE_INFINITY);
  const total = scores.reduce((sum, score) => sum + Math.exp(score - highest), 0);
  const order = Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || a - b);
  return order.slice(0, count).map((id) => ({ id, probability: Math.exp(scores[id]! - highest) / total }));
}
