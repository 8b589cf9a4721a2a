import { InputError } from "../errors.ts";
import { shown } from "./shown.ts";
import { knowledgeEnhancement } from "./variants/knowledge-enhancement.ts";
import { metaEol } from "./variants/meta-eol.ts";
import { pretendedCot } from "./variants/pretended-cot.ts";
import { promptEol } from "./variants/prompt-eol.ts";

/** Templates by name; several ones are run one after the other and their vectors averaged. */
export const templates: Readonly<Record<string, string | readonly string[]>> = {
  eol: promptEol,
  pretendedCot,
  knowledgeEnhancement,
  metaEol,
};

/** PromptEOL, which the published numbers are for. */
export const defaultTemplate: string = promptEol;

/** Where the sentence goes: once, or twice for Echo, whose second copy is the one that is read. */
export const slot = "{text}";

/** Where the token goes that Token Prepending overwrites. */
export const placeholder = "{placeholder}";

/** A template or its name, or a list of them; a list of one is that one. @throws InputError "bad-template" */
export function resolveTemplate(template: string | readonly string[], where: string): string | readonly string[] {
  if (typeof template === "string") return resolveOne(template, where);
  const list = template.flatMap((one) => resolveOne(one, where)); // a name may stand for several
  return list.length === 1 ? list[0]! : list;
}

const resolveOne = (template: string, where: string): string | readonly string[] =>
  Object.hasOwn(templates, template) ? templates[template]! : checkTemplate(template, where);

function checkTemplate(template: string, where: string): string {
  const count = (part: string): number => template.split(part).length - 1;
  const fail = (problem: string): never => {
    const names = Object.keys(templates).join(", ");
    throw new InputError(
      "bad-template",
      `${where}: the template ${shown(template)} ${problem}; or name one of ${names}.`,
    );
  };
  if (count(slot) !== 1 && count(slot) !== 2) {
    return fail(`has ${count(slot)} ${slot} slots, but must have one, or two for the text and its echo`);
  }
  if (count(placeholder) > 1 || template.indexOf(placeholder) > template.indexOf(slot)) {
    return fail(`must have ${placeholder} at most once, and in front of ${slot}`);
  }
  return template;
}
