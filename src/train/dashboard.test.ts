import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Dashboard, dashboardHtml } from "./dashboard.ts";
import type { LogEntry } from "./training-log.ts";

const step = (number: number): LogEntry => ({
  step: number,
  totalSteps: 1000,
  loss: 3 / number,
  gradNorm: 1,
  learningRate: 5e-4,
  seconds: 8,
  sentences: 144,
});
const log = Array.from({ length: 900 }, (_, i) => step(i + 1)).flatMap((entry): LogEntry[] =>
  entry.step % 50 === 0 ? [entry, { step: entry.step, devSpearman: 0.8 - Math.abs(entry.step - 300) / 1e4 }] : [entry],
);
const options = { output: "<script>alert(1)</script>", rank: 16 };

test("a page shows a run that goes on, with five curves, and reads itself again", () => {
  const page = dashboardHtml({ options, log, state: "running", at: new Date(0) });
  expect(page).toContain("step 900 of 1,000, 14 min left · running"); // 100 steps of 8 s
  expect(page).toContain("<strong>80.00</strong> after step 300");
  expect(page.match(/<svg /g)).toHaveLength(5);
  expect(page).toContain('http-equiv="refresh" content="10"');
  expect(page).not.toContain("<script>");
  expect(page).not.toMatch(/(src|href)=|@import|url\(/);
  expect(page.length).toBeLessThan(60_000);
});

test("a page of a run that has ended says how, and is not read again", () => {
  const page = dashboardHtml({ options, log, state: "the loss is NaN", at: new Date(0) });
  expect(page).toContain("step 900 of 1,000 · the loss is NaN");
  expect(page).not.toContain("http-equiv");
});

test("a page before the first step has no curve", () => {
  const page = dashboardHtml({ options, log: [], state: "running", at: new Date(0) });
  expect(page).toContain("no step yet");
  expect(page).toContain("Loss, nats: nothing yet.");
});

test("a file is written at once, seldom while the run goes on, and at its end; a failure on the way is a warning", async () => {
  const folder = await mkdtemp(join(tmpdir(), "oneword-dashboard-"));
  const warnings: string[] = [];
  const file = join(folder, "page.html");
  const dashboard = await Dashboard.open({ file, options, onWarning: (message) => warnings.push(message) }, []);
  await dashboard.show(log);
  expect(await readFile(file, "utf8")).toContain("no step yet");
  await dashboard.show(log, "done");
  expect(await readFile(file, "utf8")).toContain("step 900 of 1,000 · done");
  expect(await readdir(folder)).toEqual(["page.html"]);
  await rm(folder, { recursive: true });
  await dashboard.show(log, "done");
  expect(warnings).toEqual([expect.stringMatching(/no longer written: .*ENOENT/)]);
  await expect(Dashboard.open({ file, options, onWarning: () => {} }, [])).rejects.toMatchObject({
    code: "bad-option",
    message: expect.stringMatching(/page\.html: ENOENT/),
  });
});
