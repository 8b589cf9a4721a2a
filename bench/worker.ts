import { createInterface } from "node:readline";
import { load } from "../src/index.ts";
import type { Precision } from "../src/text/recipe.ts";

/** One side of bench/embed.ts: reads the set-up, then runs once for every line and answers with one line of JSON. */
interface SetUp {
  readonly model: string;
  readonly precision: Precision;
  readonly threads: number;
  readonly sentences: readonly string[];
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const setUp = JSON.parse((await lines.next()).value) as SetUp;
const model = await load(setUp.model, { precision: setUp.precision, threads: setUp.threads });
const answer = (value: unknown): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);

answer({ name: `oneword ${setUp.precision}` });
while (!(await lines.next()).done) {
  const start = performance.now();
  const rows = await model.embed(setUp.sentences);
  const seconds = (performance.now() - start) / 1000;
  answer({ seconds, peakBytes: process.resourceUsage().maxRSS * 1024, first: Array.from(rows[0]!) });
}
await model.close();
