/**
 * Knowledge Enhancement: says in front what a summary is made of (arXiv 2404.03921). Long for a small model: choose on a
 * development set.
 */
export const knowledgeEnhancement =
  "The essence of a sentence is often captured by its main subjects and actions, while descriptive terms provide " +
  'additional but less central details. With this in mind , this sentence : "{text}" means in one word:"';
