import { setTimeout as pause } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { type Texts, type TextWindow, textWindows } from "./text-windows.ts";

async function windowsOf(texts: Texts, size = 3): Promise<TextWindow[]> {
  const windows: TextWindow[] = [];
  for await (const window of textWindows(texts, size)) windows.push(window);
  return windows;
}

const window = (indexes: readonly number[], isFollowed = false): TextWindow => ({
  indexes,
  texts: indexes.map((i) => `text ${i}`),
  isFollowed,
});

async function* stream(count: number): AsyncGenerator<string> {
  for (let i = 0; i < count; i++) yield `text ${i}`;
}

test("a list and a stream come in windows, the last of what is left", async () => {
  const expected = [window([0, 1, 2], true), window([3, 4, 5], true), window([6])];
  expect(await windowsOf(Array.from({ length: 7 }, (_, i) => `text ${i}`))).toEqual(expected);
  expect(await windowsOf(stream(7))).toEqual(expected);
  expect(await windowsOf(stream(6))).toEqual([expected[0], window([3, 4, 5])]);
  expect(await windowsOf([])).toEqual([]);
});

test.each([
  [2, [window([0, 1])]],
  [3, [window([0, 1, 2])]],
  [5, [window([0, 1, 2], true), window([3, 4])]],
])("%i texts in front of a failure come before it", async (count, expected) => {
  async function* failing(): AsyncGenerator<string> {
    yield* stream(count);
    throw new Error("bad line");
  }
  const windows: TextWindow[] = [];
  const reading = (async () => {
    for await (const one of textWindows(failing(), 3)) windows.push(one);
  })();
  await expect(reading).rejects.toThrow("bad line");
  expect(windows).toEqual(expected);
});

test("who waits for a stream's next text gets those before it, and all in order", async () => {
  let go = (): void => {};
  async function* slow(): AsyncGenerator<string> {
    yield* stream(3);
    await new Promise<void>((resolve) => {
      go = resolve;
    });
    yield "text 3";
  }
  for (const size of [3, 4]) {
    const windows = textWindows(slow(), size);
    expect((await windows.next()).value).toEqual(window([0, 1, 2]));
    go();
    expect((await windows.next()).value).toEqual(window([3]));
    expect((await windows.next()).done).toBe(true);
  }
});

test("a stream that gives its texts at once is never waited for with a timer", async () => {
  const timers = vi.spyOn(globalThis, "setTimeout");
  expect(await windowsOf(stream(5000), 2048)).toHaveLength(3);
  expect(timers).not.toHaveBeenCalled();
  timers.mockRestore();
});

test("a stream that is left early is ended, also one that never gives another text", async () => {
  let isEnded = false;
  async function* endless(): AsyncGenerator<string> {
    try {
      for (;;) yield "text";
    } finally {
      isEnded = true;
    }
  }
  for await (const _ of textWindows(endless(), 3)) break;
  expect(isEnded).toBe(true);
  async function* stuck(): AsyncGenerator<string> {
    yield "text";
    await new Promise(() => {});
  }
  for await (const _ of textWindows(stuck(), 3)) break; // comes to an end
  await pause(1);
});

test.each([
  ["hello", /texts is a string\. Give a list of strings/],
  [undefined, /texts is nothing/],
  [["a", 5], /input\[1\]: a number, not a string/],
  [["a", null], /input\[1\]: null, not a string/],
] as [unknown, RegExp][])("%j is no list of strings", async (texts, message) => {
  await expect(windowsOf(texts as string[])).rejects.toThrow(message);
});
