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
  const source = Symbol.asyncIterator in texts ? texts[Symbol.asyncIterator]() : texts[Symbol.iterator]();
  let [window, start] = [[] as string[], 0];
  const take = (): TextWindow => {
    const taken = { texts: window, indexes: window.map((_, i) => start + i) };
    [window, start] = [[], start + window.length];
    return taken;
  };
  let [isOver, isWaiting] = [false, false];
  try {
    while (!isOver) {
      const next = source.next();
      isWaiting = next instanceof Promise;
      if (next instanceof Promise && window.length > 0 && !(await comesSoon(next))) yield take();
      const [result] = await Promise.allSettled([next]);
      isWaiting = false;
      const item = result.status === "fulfilled" && !result.value.done ? result.value : undefined;
      isOver = item === undefined;
      if (item) {
        checkText(item.value, start + window.length);
        window.push(item.value);
      }
      if (window.length > 0 && (isOver || window.length === size)) yield take();
      if (result.status === "rejected") throw result.reason;
    }
  } finally {
    const ended = isOver ? undefined : Promise.resolve(source.return?.());
    if (isWaiting)
      ended?.catch(() => {}); // the end of a read that nobody waits for
    else await ended;
  }
}

async function comesSoon(next: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), patienceMs);
  });
  const here = (): boolean => true;
  return Promise.race([next.then(here, here), late]).finally(() => clearTimeout(timer));
}

/** @throws InputError "bad-option" for what is no list of strings; a string is one of letters */
export function checkTexts(texts: unknown): void {
  if (typeof texts === "object" && texts !== null && (Symbol.iterator in texts || Symbol.asyncIterator in texts))
    return;
  throw new InputError("bad-option", `texts is ${kindOf(texts)}. Give a list of strings, or a stream of them.`);
}

/** @throws InputError "bad-option" */
export function checkText(text: unknown, index: number): void {
  if (typeof text === "string") return;
  throw new InputError("bad-option", `input[${index}]: ${kindOf(text)}, not a string.`);
}
