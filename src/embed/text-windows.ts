import { InputError } from "../errors.ts";
import { kindOf } from "../files/json.ts";

/** Texts that a stream collects before they are sorted and run: bounds its memory. */
export const windowTexts = 2048;

/** Whoever waits longer than that for a stream's next text should have the vectors of those before it. */
const patienceMs = 100;

export interface TextWindow {
  readonly texts: readonly string[];
  /** Number of each in the stream. */
  readonly indexes: readonly number[];
  /** Whether a text comes behind it at once: neither the end, nor a failure, nor a stream that keeps us waiting. */
  readonly isFollowed: boolean;
}

/** Texts one after the other, or as they come. */
export type Texts = Iterable<string> | AsyncIterable<string>;

/**
 * A stream in windows of `size` texts; none is empty. A smaller one comes where the stream ends, fails, which is thrown behind
 * it, or keeps us waiting.
 * @throws InputError "bad-option" for what is no list of strings, or an item that is none
 */
export async function* textWindows(texts: Texts, size: number): AsyncGenerator<TextWindow, void, undefined> {
  checkTexts(texts);
  let [window, start] = [[] as string[], 0];
  const take = (isFollowed: boolean): TextWindow => {
    const taken = { texts: window, indexes: window.map((_, i) => start + i), isFollowed };
    [window, start] = [[], start + window.length];
    return taken;
  };
  try {
    for await (const text of Symbol.asyncIterator in texts ? withPauses(texts) : texts) {
      if (text !== pause) {
        if (window.length === size) yield take(true);
        checkText(text, start + window.length);
        window.push(text);
      } else if (window.length > 0) yield take(false);
    }
  } catch (error) {
    if (window.length > 0) yield take(false);
    throw error;
  }
  if (window.length > 0) yield take(false);
}

/** Stands for a text that is waited for. */
const pause = Symbol("pause");

/** A stream's texts, behind a pause where it keeps us waiting. */
async function* withPauses(texts: AsyncIterable<string>): AsyncGenerator<string | typeof pause, void, undefined> {
  const source = texts[Symbol.asyncIterator]();
  let [isReading, isOver] = [false, false];
  try {
    while (!isOver) {
      const next = source.next();
      isReading = true;
      if (!(await comesSoon(next))) yield pause;
      const result = await next;
      isReading = false;
      if (result.done) isOver = true;
      else yield result.value;
    }
  } finally {
    const ended = isOver ? undefined : source.return?.();
    if (!isReading) await ended;
    else ended?.catch(() => {}); // the read that it waits for may never end, or has failed
  }
}

/** Asks for a timer only where the next text is not there already, as almost all are. */
function comesSoon(next: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const turn = setImmediate(() => {
      timer = setTimeout(() => resolve(false), patienceMs);
    });
    const here = (): void => {
      clearImmediate(turn);
      clearTimeout(timer);
      resolve(true);
    };
    next.then(here, here);
  });
}

/** @throws InputError "bad-option" for what is no list, which a string of letters is not, and for an item that is no string */
export function checkList(texts: unknown, indexes?: readonly number[]): void {
  if (!Array.isArray(texts)) throw new InputError("bad-option", `texts is ${kindOf(texts)}. Give a list of strings.`);
  for (const [i, text] of texts.entries()) checkText(text, indexes?.[i] ?? i);
}

/** @throws InputError "bad-option" for what is neither a list nor a stream; a string is a list of letters */
function checkTexts(texts: unknown): void {
  if (typeof texts === "object" && texts !== null && (Symbol.iterator in texts || Symbol.asyncIterator in texts))
    return;
  throw new InputError("bad-option", `texts is ${kindOf(texts)}. Give a list of strings, or a stream of them.`);
}

function checkText(text: unknown, index: number): asserts text is string {
  if (typeof text === "string") return;
  throw new InputError("bad-option", `input[${index}]: ${kindOf(text)}, not a string.`);
}
