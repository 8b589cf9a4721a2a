import { expect, test } from "vitest";
import { readJsonlField } from "./jsonl.ts";

async function textsOf(lines: readonly string[], field = "text"): Promise<string[]> {
  const texts: string[] = [];
  async function* numbered() {
    for (const [i, text] of lines.entries()) yield { text, lineNumber: i + 1 };
  }
  for await (const text of readJsonlField(numbered(), "in.jsonl", field)) texts.push(text);
  return texts;
}

test("takes the named field, an empty one included", async () => {
  expect(await textsOf(['{"text":"a"}', ' {"n":1,"text":""} '])).toEqual(["a", ""]);
  expect(await textsOf(['{"text":"a","review":"b\\n"}'], "review")).toEqual(["b\n"]);
});

test.each([
  ['{"text":', "bad-json", /^in\.jsonl:2: not JSON/],
  ['["a"]', "bad-json", /^in\.jsonl:2: a list, not a JSON object/],
  ["null", "bad-json", /^in\.jsonl:2: null, not/],
  ['{"body":"x","id":1}', "missing-field", /^in\.jsonl:2: no field "text"; the line has "body", "id"\. .*--field/],
  ["{}", "missing-field", /the line has none/],
  ['{"text":3}', "missing-field", /^in\.jsonl:2: field "text" is a number, not a string/],
])("refuses %s", async (line, code, message) => {
  await expect(textsOf(['{"text":"good"}', line])).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message),
  });
});

test("an empty line is refused by its number, save at the end of the file", async () => {
  expect(await textsOf(['{"text":"a"}', "", " "])).toEqual(["a"]);
  await expect(textsOf(['{"text":"a"}', "", "", '{"text":"b"}'])).rejects.toMatchObject({
    code: "bad-json",
    message: expect.stringMatching(/^in\.jsonl:2: an empty line/),
  });
});

test("a field of Object.prototype is not in the line", async () => {
  await expect(textsOf(["{}"], "toString")).rejects.toMatchObject({ code: "missing-field" });
});
