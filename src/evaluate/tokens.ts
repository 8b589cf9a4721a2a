// biome-ignore lint/suspicious/noControlCharactersInRegex: they are white space to Python's str.split
const white = /[\s\x1c-\x1f\x85]+/;

/** Tokens of a line, as SentEval cuts it. */
export const splitTokens = (line: string): string[] => line.split(white).filter((token) => token !== "");

/** A line as SentEval hands it to a model: tokens with one space between. */
export const joinTokens = (line: string): string => splitTokens(line).join(" ");
