import { expect, test } from "vitest";
import type { EmbeddingModel } from "../embed/embedding-model.ts";
import { InputError } from "../errors.ts";
import { modelSource } from "./vector-source.ts";

test("a text that does not fit is named by its beginning, not by its place among those it was embedded with", async () => {
  async function* embedStream(): AsyncGenerator<never> {
    yield* [];
    throw new InputError("too-long", "input[1]: 9 tokens, 5 fit. Shorten it or set truncate.");
  }
  const source = modelSource({ name: "m", recipeId: "r", graphId: "g", embedStream } as unknown as EmbeddingModel);
  await expect(source.embed(["a", `long ${"word ".repeat(40)}`])).rejects.toMatchObject({
    code: "too-long",
    message: expect.stringMatching(/^the text "long (word )+": 9 tokens, 5 fit\. Shorten it/),
  });
});
