import { ReservedFile } from "../files/output-file.ts";
import { fitRecipe } from "../recipes/fit-recipe.ts";
import { recipeId } from "../text/recipe.ts";
import type { CliContext } from "./context.ts";
import { embedOptions, loadModel } from "./load-model.ts";
import { counted } from "./progress.ts";
import type { FitFlags } from "./recipe-flags.ts";
import { writeTo } from "./stdout-sink.ts";
import { readAllTexts } from "./texts.ts";

/** `oneword recipe fit`: the recipe of the flags with mean and directions fitted on texts; prints its id. */
export async function runRecipeFit(flags: FitFlags, context: CliContext): Promise<void> {
  const texts = await readAllTexts(flags.texts, context);
  await using output = await ReservedFile.open(flags.output);
  const { model } = await loadModel(flags, context);
  try {
    const { whitening: _, ...recipe } = model.recipe;
    const layer = recipe.layer === "last" ? model.numLayers : recipe.layer;
    const setting = { layer, directions: flags.directions };
    const fitted = await fitRecipe(model, { recipe, setting }, texts, {
      ...embedOptions(flags, context.signal),
      truncate: true,
    });
    const found = fitted.whitening?.scales.length ?? 0;
    if (found < flags.directions && flags.quiet !== true) {
      context.stderr.write(`${counted(found, "direction")} evened out, as many as the texts are enough for\n`);
    }
    await output.write(`${JSON.stringify(fitted, null, 2)}\n`);
    await writeTo(context.stdout, `${recipeId(fitted)}\n`);
  } finally {
    await model.close();
  }
}
