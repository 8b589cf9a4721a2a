/** Small multiples of lines on logarithmic axes, as an SVG of its own. */
export interface Panel {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly lines: readonly { readonly name: string; readonly points: readonly (readonly [number, number])[] }[];
}

const [width, height, left, bottom, top] = [360, 260, 56, 44, 30];
const colours = ["#0072b2", "#d55e00", "#009e73"];

export function chartSvg(panels: readonly Panel[]): string {
  const drawn = panels.map((panel, i) => `<g transform="translate(${i * width} 0)">${draw(panel)}</g>`);
  const size = `width="${panels.length * width}" height="${height}" viewBox="0 0 ${panels.length * width} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="11">
<title>What a sentence costs</title>
<rect width="100%" height="100%" fill="#fff"/>
${drawn.join("\n")}
</svg>
`;
}

function draw({ title, xLabel, yLabel, lines }: Panel): string {
  const points = lines.flatMap((line) => line.points);
  const x = scale(
    points.map(([value]) => value),
    left,
    width - 16,
  );
  const y = scale(
    points.map(([, value]) => value),
    height - bottom,
    top,
  );
  const grid = [
    ...x.ticks.map(
      (tick) =>
        label(x.at(tick), height - bottom + 14, tick, "middle") + line(x.at(tick), top, x.at(tick), height - bottom),
    ),
    ...y.ticks.map(
      (tick) => label(left - 5, y.at(tick) + 4, tick, "end") + line(left, y.at(tick), width - 16, y.at(tick)),
    ),
  ];
  const curves = lines.map(({ name, points: own }, i) => {
    const path = own.map(([a, b]) => `${x.at(a).toFixed(1)},${y.at(b).toFixed(1)}`).join(" ");
    const dots = own
      .map(([a, b]) => `<circle cx="${x.at(a).toFixed(1)}" cy="${y.at(b).toFixed(1)}" r="2.5"/>`)
      .join("");
    const key = lines.length > 1 ? `<text x="${left + 8}" y="${top + 14 + 14 * i}">${name}</text>` : "";
    return `<g fill="${colours[i]}"><polyline points="${path}" fill="none" stroke="${colours[i]}" stroke-width="1.5"/>${dots}${key}</g>`;
  });
  return [
    `<text x="${left}" y="16" font-weight="bold">${title}</text>`,
    ...grid,
    ...curves,
    `<text x="${(left + width) / 2}" y="${height - 8}" text-anchor="middle">${xLabel}</text>`,
    `<text transform="translate(12 ${(height - bottom + top) / 2}) rotate(-90)" text-anchor="middle">${yLabel}</text>`,
  ].join("\n");
}

const label = (x: number, y: number, value: number, anchor: string): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="#555">${value}</text>`;
const line = (...[x1, y1, x2, y2]: number[]): string =>
  `<line x1="${x1!.toFixed(1)}" y1="${y1!.toFixed(1)}" x2="${x2!.toFixed(1)}" y2="${y2!.toFixed(1)}" stroke="#ddd"/>`;

/** Logarithmic, with a tick at each power of 10 and, where there are few, at 2 and 5 times it. */
function scale(values: readonly number[], from: number, to: number) {
  const [least, most] = [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))];
  const pad = Math.max(0.02, (most - least) * 0.04);
  const at = (value: number): number =>
    from + ((Math.log10(value) - least + pad) / (most - least + 2 * pad)) * (to - from);
  const steps = most - least > 2.5 ? [1] : most - least > 1.2 ? [1, 3] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(least - pad); power <= most + pad; power++) {
    for (const step of steps) {
      const tick = step * 10 ** power;
      if (Math.log10(tick) >= least - pad && Math.log10(tick) <= most + pad) ticks.push(Number(tick.toPrecision(3)));
    }
  }
  return { at, ticks };
}
