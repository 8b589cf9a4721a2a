/** Text that is safe between tags and in quoted attributes. */
export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/**
 * A page that needs nothing else.
 * @param body  HTML
 * @param refreshSeconds  after which the browser reads it again; never by default
 */
export function htmlPage(title: string, body: string, refreshSeconds?: number): string {
  const refresh = refreshSeconds === undefined ? "" : `<meta http-equiv="refresh" content="${refreshSeconds}">`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">${refresh}
<title>${escapeHtml(title)}</title><style>${styles}</style></head>
<body>
${body}
</body></html>
`;
}

/** @param rows  cells that are HTML already; the first row is the header */
export function htmlTable(rows: readonly (readonly string[])[], className = ""): string {
  const [header = [], ...body] = rows;
  const head = header.map((cell) => `<th>${cell}</th>`).join("");
  const lines = body.map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join("")}</tr>`).join("\n");
  return `<div class="scroll"><table class="${className}"><thead><tr>${head}</tr></thead>\n<tbody>${lines}</tbody></table></div>`;
}

/** Colours of runs, in order; they tell apart with and without colour vision on light and dark (Okabe and Ito 2008). */
export const runColours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
export const colourOf = (run: number): string => runColours[run % runColours.length]!;

const styles = `
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #6b7480; --line: #d9dee4; --page: #fff; --panel: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --faint: #9aa4af; --line: #3a424b; --page: #14181c; --panel: #1c2127; }
}
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); } h3 { font-size: 1rem; margin: 1.25rem 0 .35rem; }
p, figcaption { margin: .25rem 0; } .faint, figcaption { color: var(--faint); font-size: .9rem; }
.scroll { overflow-x: auto; max-width: 100%; } h1, h2 { overflow-wrap: anywhere; } table { border-collapse: collapse; margin: .5rem 0; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th { font-weight: 600; } th:first-child, td:first-child { text-align: left; }
td { font-variant-numeric: tabular-nums; } .pairs td, .pairs th { text-align: left; }
.pairs td:first-child { white-space: nowrap; } .pairs td:nth-child(2), .pairs td:nth-child(3) { min-width: 9rem; }
.charts { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 1.25rem; } figure { margin: 0; background: var(--panel); padding: .75rem;
  border-radius: .4rem; box-sizing: border-box; max-width: 100%; overflow-x: auto; } svg { display: block; } svg text { fill: var(--ink); font: 11px system-ui, sans-serif; }
svg .axis { stroke: var(--faint); stroke-width: 1; } svg .grid { stroke: var(--line); stroke-width: 1; }
.key { display: inline-block; width: .75rem; height: .75rem; border-radius: 50%; margin-right: .4rem; }
details > summary { cursor: pointer; margin: .75rem 0; } nav a { margin-right: .9rem; color: inherit; }
td.number, th.number { text-align: right; } pre { background: var(--panel); padding: .75rem; white-space: pre-wrap; overflow-wrap: anywhere; }
code { font-size: .85em; overflow-wrap: anywhere; }`;
