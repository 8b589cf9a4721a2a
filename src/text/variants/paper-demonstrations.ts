import type { Demonstration } from "../recipe.ts";

/**
 * The demonstration that did best on STS-B dev for each size of OPT (arXiv 2307.16645).
 * @see kongds/scaling_sentemb, run_icl.sh
 */
export const paperDemonstrations: Readonly<Record<string, Demonstration>> = {
  "facebook/opt-125m": { sentence: "A man is smoking.", word: "Smoking" },
  "facebook/opt-350m": { sentence: "A man is playing on a guitar and singing.", word: "Music" },
  "facebook/opt-1.3b": { sentence: "relating to switzerland or its people.", word: "Swiss" },
  "facebook/opt-2.7b": { sentence: "A jockey riding a horse.", word: "Equestrian" },
  "facebook/opt-6.7b": { sentence: "The man is riding a horse.", word: "Horseback-riding" },
  "facebook/opt-13b": { sentence: "meat from a deer.", word: "Venison" },
  "facebook/opt-30b": { sentence: "The man is riding a motorcycle down the road.", word: "Motorcycling" },
  "facebook/opt-66b": { sentence: "of or relating to tutors or tutoring.", word: "Tutorial" },
};
