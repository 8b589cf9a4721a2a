/** Texts that are worth starting a worker on each core: at 40 sentences/s a core, far longer than the start. */
export const manyTexts = 4096;
/** The same in long texts; bounds the memory of reading ahead. */
const manyCharacters = 1 << 20;
/** Who gives texts more slowly than that will not keep several cores busy, and should not wait for the model to load. */
const patienceMs = 250;

/** Whether these are many texts, and the same texts again. */
export interface ReadAhead {
  readonly areMany: boolean;
  readonly texts: AsyncIterable<string>;
}

/**
 * Reads texts until they are many, end or keep us waiting. An error in them comes in its turn, behind the texts in front of
 * it.
 */
export async function readAhead(source: AsyncIterable<string>): Promise<ReadAhead> {
  const iterator = source[Symbol.asyncIterator]();
  const ahead: string[] = [];
  let characters = 0;
  let waiting: Promise<IteratorResult<string>> | undefined;
  const read = (): Promise<IteratorResult<string>> => {
    const next = waiting ?? iterator.next();
    waiting = undefined;
    return next;
  };
  const areMany = (): boolean => ahead.length >= manyTexts || characters >= manyCharacters;
  let isOver = false;
  let wake = (): void => {};
  const patience = setTimeout(() => {
    isOver = true;
    wake();
  }, patienceMs);
  while (!areMany() && !isOver) {
    const next = read();
    // Not Promise.race: a promise that outlives all texts would hold something for each. An error stays in `next`.
    const first = await new Promise<IteratorResult<string> | null>((resolve) => {
      wake = () => resolve(null);
      next.then(resolve, wake);
    });
    if (!first || first.done) {
      waiting = next;
      break;
    }
    ahead.push(first.value);
    characters += first.value.length;
  }
  clearTimeout(patience);
  waiting?.catch(() => {}); // until its turn comes
  async function* texts(): AsyncGenerator<string, void, undefined> {
    try {
      while (ahead.length > 0) yield* ahead.splice(0, 256);
      for (let next = await read(); !next.done; next = await read()) yield next.value;
    } finally {
      const ended = iterator.return?.(); // which waits for a read that is under way
      if (!waiting) await ended;
    }
  }
  return { areMany: areMany(), texts: texts() };
}
