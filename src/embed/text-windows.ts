/** Texts that a stream collects before they are sorted and run: bounds its memory. */
export const windowTexts = 2048;

export interface TextWindow {
  readonly texts: readonly string[];
  /** Number of each in the stream. */
  readonly indexes: readonly number[];
}

/** A stream in windows of `size` texts, the last of what is left; none is empty. */
export async function* textWindows(
  texts: Iterable<string> | AsyncIterable<string>,
  size: number,
): AsyncGenerator<TextWindow, void, undefined> {
  let [window, start] = [[] as string[], 0];
  const taken = (): TextWindow => ({ texts: window, indexes: window.map((_, i) => start + i) });
  for await (const text of texts) {
    if (window.push(text) < size) continue;
    yield taken();
    [window, start] = [[], start + size];
  }
  if (window.length > 0) yield taken();
}
