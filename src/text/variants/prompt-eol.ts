/** PromptEOL: the next word has to say the whole sentence (arXiv 2307.16645). The published numbers are for this one. */
export const promptEol = 'This sentence : "{text}" means in one word:"';
