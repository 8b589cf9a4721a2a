import type { Command } from "commander";
import type { CliContext } from "./context.ts";
import { exitCodeHelp } from "./exit-codes.ts";
import {
  addCandidateFlags,
  addFitFlags,
  addSearchFlags,
  type CandidateFlags,
  type FitFlags,
  type SearchFlags,
} from "./recipe-flags.ts";

/** `oneword recipe` and its commands. */
export function addRecipe(program: Command, context: CliContext): void {
  const recipe = program.command("recipe").description("Find the prompt that suits a model, without training.");
  addSearch(recipe, context);
  addFit(recipe, context);
  addCandidates(recipe, context);
}

function addSearch(recipe: Command, context: CliContext): void {
  const command = recipe
    .command("search")
    .description(
      "Search prompt, layer, demonstrations and what is done with the vectors on one half of labelled texts.",
    );
  addSearchFlags(command)
    .addHelpText("after", `\nExample:\n  $ oneword recipe search --minutes 30 --output recipe.json\n${exitCodeHelp}`)
    .action(async (flags: SearchFlags) => (await import("./recipe-search.ts")).runRecipeSearch(flags, context));
}

function addFit(recipe: Command, context: CliContext): void {
  const command = recipe
    .command("fit")
    .description("Fit the mean and the large directions of a recipe's vectors on unlabelled texts; print its id.");
  addFitFlags(command)
    .addHelpText(
      "after",
      `\nExample:\n  $ oneword recipe fit --texts sentences.txt --output recipe.json\n${exitCodeHelp}`,
    )
    .action(async (flags: FitFlags) => (await import("./recipe-fit.ts")).runRecipeFit(flags, context));
}

function addCandidates(recipe: Command, context: CliContext): void {
  const command = recipe
    .command("candidates")
    .description(
      "Candidates for demonstrations, tab-separated: WordNet's definitions, or texts with the model's word.",
    );
  addCandidateFlags(command)
    .addHelpText(
      "after",
      `\nExample:\n  $ oneword recipe candidates --texts sentences.txt > candidates.tsv\n${exitCodeHelp}`,
    )
    .action(async (flags: CandidateFlags) =>
      (await import("./recipe-candidates.ts")).runRecipeCandidates(flags, context),
    );
}
