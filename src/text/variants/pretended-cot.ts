/**
 * Pretended Chain of Thought: the model is told that it has thought already (arXiv 2404.03921).
 * @see ZBWpro/PretCoTandKE; the blank before the comma as in fuyuchenIfyw/token_prepending
 */
export const pretendedCot = 'After thinking step by step , this sentence : "{text}" means in one word:"';
