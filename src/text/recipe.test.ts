import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { completeRecipe, differingModel } from "./complete-recipe.ts";
import { fillParts, promptParts } from "./prompt-parts.ts";
import { type Recipe, type RecipeOptions, recipeId } from "./recipe.ts";
import { readRecipe } from "./recipe-fields.ts";
import { defaultTemplate, resolveTemplate, templates } from "./templates.ts";

const known = { model: "sha256:abc", precision: "stored" } as const;
const jockey = { sentence: "A jockey riding a horse", word: "Equestrian" };

function refusal(action: () => unknown): InputError {
  try {
    action();
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error("was not refused");
}

describe("a complete recipe", () => {
  test("has the paper's defaults", () => {
    expect(completeRecipe({}, known)).toEqual({
      model: "sha256:abc",
      template: 'This sentence : "{text}" means in one word:"',
      cleanUp: ["trim", "fullStop", "singleQuotes", "questionToFullStop"],
      demonstrations: [],
      layer: "last",
      normalize: false,
      precision: "stored",
      adapter: null,
    });
  });

  test("takes a template by name, and every name is a good one", () => {
    expect(completeRecipe({ template: "eol" }, known).template).toBe(defaultTemplate);
    for (const [name, template] of Object.entries(templates)) {
      expect(completeRecipe({ template: name }, known).template).toBe(template);
    }
  });

  test("survives JSON, and is then accepted whole", () => {
    const recipe = completeRecipe({ demonstrations: [jockey], layer: 7, normalize: true }, known);
    const read = readRecipe(JSON.parse(JSON.stringify(recipe)), "r.json");
    expect(completeRecipe(read, known)).toEqual(recipe);
  });

  test("names the loaded model, and the one it was made for can be told", () => {
    expect(completeRecipe({ model: "sha256:other" }, known).model).toBe("sha256:abc");
    expect(differingModel({ model: "sha256:other" }, "sha256:abc")).toBe("sha256:other");
    expect(differingModel({ model: "sha256:abc" }, "sha256:abc")).toBeNull();
    expect(differingModel({}, "sha256:abc")).toBeNull();
  });

  test("leaves out fields that say nothing, so that the id stays", () => {
    const plain = { pooling: "lastToken", subtractTemplate: 0, template: [defaultTemplate] } as const;
    expect(completeRecipe(plain, known)).toEqual(completeRecipe({}, known));
  });

  test("has a placeholder and Token Prepending together, up to the layer that is read", () => {
    const template = "{placeholder}{text}";
    const tokenPrepending = { fromLayer: 1, toLayer: 7 };
    expect(refusal(() => completeRecipe({ template }, known)).code).toBe("bad-template");
    expect(refusal(() => completeRecipe({ tokenPrepending }, known)).code).toBe("bad-template");
    expect(refusal(() => completeRecipe({ template, tokenPrepending, layer: 6 }, known)).code).toBe("bad-recipe");
    expect(completeRecipe({ template, tokenPrepending, layer: 7 }, known)).toMatchObject({ tokenPrepending });
  });
});

describe("a recipe from outside", () => {
  test("with an unknown field is refused with the list of the known", () => {
    const error = refusal(() => readRecipe({ tempalte: "x" }, "r.json"));
    expect(error.code).toBe("bad-recipe");
    expect(error.message).toMatch(/^r\.json: "tempalte".*model, template, cleanUp/);
  });

  test.each<[string, unknown]>([
    ["no object", []],
    ["null", null],
    ["a layer that is negative", { layer: -1 }],
    ["a layer that is no whole number", { layer: 1.5 }],
    ["an unknown clean-up step", { cleanUp: ["lowercase"] }],
    ["a clean-up step that every object has", { cleanUp: ["toString"] }],
    ["a demonstration without a word", { demonstrations: [{ sentence: "a" }] }],
    ["a demonstration with a field too many", { demonstrations: [{ ...jockey, weight: 1 }] }],
    ["a precision we do not have", { precision: "int3" }],
    ["an adapter", { adapter: "lora" }],
    ["a pooling we do not have", { pooling: "max" }],
    ["Token Prepending that ends before it begins", { tokenPrepending: { fromLayer: 7, toLayer: 7 } }],
    ["a whitening without a mean", { whitening: { directions: "", scales: [] } }],
    ["an empty list of templates", { template: [] }],
    ["a field named __proto__", JSON.parse('{"__proto__": 1}')],
  ])("is refused: %s", (_, json) => expect(refusal(() => readRecipe(json, "r.json")).code).toBe("bad-recipe"));

  test.each([
    "",
    "no slot",
    "{text}{text}{text}",
    "{ text }",
    "toString",
    "{text}{placeholder}",
    ["{text}", "no slot"],
  ])("is refused with the template %j", (template) => {
    const error = refusal(() => readRecipe({ template }, "--recipe"));
    expect(error.code).toBe("bad-template");
    expect(error.message).toContain("eol");
  });

  test("has names in a list of templates, too", () => {
    const { template } = readRecipe({ template: ["eol", "{text} is"] }, "r.json");
    expect(resolveTemplate(template!, "r.json")).toEqual([defaultTemplate, "{text} is"]);
  });

  test.each([
    ["long", JSON.stringify("x".repeat(1e6)), /^r\.json: the template "x{199}… has 0 \{text\} slots/],
    ["deep", "[".repeat(1e5) + "]".repeat(1e5), /^r\.json: "template" is nested too deep, but must be a string/],
  ])("with a very %s value is refused in one readable line", (_, json, message) => {
    expect(() => readRecipe({ template: JSON.parse(json) }, "r.json")).toThrow(message);
  });

  test("of any JSON is a recipe or refused", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        try {
          completeRecipe(readRecipe(json, "r.json"), known);
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
        }
      }),
    );
  });
});

describe("the id of a recipe", () => {
  const recipe = completeRecipe({ demonstrations: [jockey] }, known);

  test("does not depend on the order of its fields", () => {
    const turned = Object.fromEntries(Object.entries(recipe).reverse()) as unknown as Recipe;
    expect(recipeId(turned)).toBe(recipeId(recipe));
    expect(recipeId(recipe)).toMatch(/^[0-9a-f]{16}$/);
  });

  test("is the one written down: sha256 of the JSON with sorted keys", () => {
    // printf '%s' '{"adapter":null,…}' | sha256sum of the default recipe's canonical JSON, below
    const json =
      '{"adapter":null,"cleanUp":["trim","fullStop","singleQuotes","questionToFullStop"],"demonstrations":[],' +
      '"layer":"last","model":"m","normalize":false,"precision":"float32",' +
      '"template":"This sentence : \\"{text}\\" means in one word:\\""}';
    expect(JSON.parse(json)).toEqual(completeRecipe({}, { model: "m", precision: "float32" }));
    expect(recipeId(completeRecipe({}, { model: "m", precision: "float32" }))).toBe("2d20057c1a21ac50");
  });

  test.each<RecipeOptions>([
    { model: "sha256:abd" },
    { template: "pretendedCot" },
    { cleanUp: ["fullStop", "trim", "singleQuotes", "questionToFullStop"] },
    { demonstrations: [] },
    { demonstrations: [jockey, jockey] },
    { demonstrations: [{ ...jockey, word: "equestrian" }] },
    { layer: 30 },
    { normalize: true },
    { precision: "float32" },
    { adapter: "sha256:lora" },
    { pooling: "mean" },
    { template: ["{text}", "a {text}"] },
    { subtractTemplate: 0.5 },
    { tokenPrepending: { fromLayer: 1, toLayer: 2 } },
    { whitening: { mean: "AAAAAA==", directions: "", scales: [] } },
  ])("is another with %j", (change) => expect(recipeId({ ...recipe, ...change })).not.toBe(recipeId(recipe)));
});

describe("the parts of a prompt", () => {
  test("are what stands before and after the sentence", () => {
    expect(promptParts(completeRecipe({}, known))).toEqual([
      { prefix: 'This sentence : "', suffix: '" means in one word:"' },
    ]);
  });

  test("begin with the demonstrations, cleaned and answered as in the reference", () => {
    const [parts] = promptParts(completeRecipe({ demonstrations: [jockey] }, known));
    expect(fillParts(parts!, "A man.")).toBe(
      'This sentence : "A jockey riding a horse." means in one word:"Equestrian".This sentence : "A man." means in one word:"',
    );
  });

  test("keep a slot that a demonstration spells, and marks that a replacement would read", () => {
    const recipe = completeRecipe({ demonstrations: [{ sentence: "{text} $& $1", word: "$$" }], cleanUp: [] }, known);
    expect(promptParts(recipe)[0]!.prefix).toBe(
      'This sentence : "{text} $& $1" means in one word:"$$".This sentence : "',
    );
  });

  test("hold the sentence twice where the template echoes it, in a demonstration too", () => {
    const template = "A:{text} B:{text}";
    const [parts] = promptParts(completeRecipe({ template, demonstrations: [jockey], cleanUp: [] }, known));
    expect(fillParts(parts!, "x")).toBe("A:A jockey riding a horse B:A jockey riding a horseEquestrian.A:x B:x");
  });

  test("are those of each template of several", () => {
    const parts = promptParts(completeRecipe({ template: ["a{text}b", "c{text}d"] }, known));
    expect(parts.map((one) => fillParts(one, "x"))).toEqual(["axb", "cxd"]);
  });
});
