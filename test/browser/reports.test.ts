import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SavedRun } from "../../src/evaluate/saved-run.ts";
import { makeReports, type Reports } from "./make-reports.ts";
import { browserProgram, cellsOf, chartsOf, launchBrowser, openFile, overflow } from "./page.ts";

const narrow = 400;
const wide = 1280;

if (browserProgram === undefined) process.stderr.write("skipped: pages in a browser, for there is no Chromium\n");

describe.skipIf(browserProgram === undefined)("a page that the command line writes", () => {
  let folder: string;
  let reports: Reports;
  let browser: Browser;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "oneword-pages-"));
    [reports, browser] = await Promise.all([makeReports(folder), launchBrowser()]);
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true });
  });

  async function opened(
    name: "evaluation" | "recipeSearch" | "dashboard",
    width: number,
    look: (page: Page) => Promise<void>,
  ) {
    const { page, complaints } = await openFile(browser, reports[name], width);
    try {
      await look(page);
      expect(complaints).toEqual([]);
    } finally {
      await page.close();
    }
  }

  describe.each([narrow, wide])("in a window of %i pixels", (width) => {
    test.each([
      ["evaluation", 4], // differences, two runs' pairs, subsets
      ["recipeSearch", 1],
      ["dashboard", 5], // loss, score, gradient, learning rate, speed
    ] as const)("%s needs nothing else, fits, and has charts that can be read", (name, count) =>
      opened(name, width, async (page) => {
        expect(await overflow(page)).toBe(0);
        const charts = await chartsOf(page);
        expect(charts.length).toBe(count);
        for (const chart of charts) {
          expect(chart.width).toBeGreaterThan(200);
          expect(chart.height).toBeGreaterThan(30);
          expect(chart.smallestLetters).toBeGreaterThanOrEqual(10);
        }
      }),
    );

    test("the comparison of runs and the pairs that cost most can be read", () =>
      opened("evaluation", width, async (page) => {
        const comparison = await cellsOf(page, ".charts td");
        expect(comparison[0]?.text).toBe("STS-B dev");
        expect(comparison[2]?.text).toMatch(/^[−+]\d+\.\d\d to [−+]\d+\.\d\d$/);
        const sentences = await cellsOf(page, "h3 ~ .scroll .pairs td:nth-child(-n+3):not(:first-child)");
        expect(sentences).toHaveLength(40);
        for (const cell of [...comparison, ...sentences]) expect(cell.letters).toBeGreaterThanOrEqual(13);
        for (const { text, width: columns } of sentences) expect(columns, text).toBeGreaterThanOrEqual(9 * 15);
        const last = page.locator("h3 ~ .scroll .pairs td").last();
        await last.scrollIntoViewIfNeeded(); // within its table, not the page
        const box = (await last.boundingBox())!;
        expect(box.x).toBeGreaterThanOrEqual(0);
        expect(box.x).toBeLessThan(width);
        expect(await overflow(page)).toBe(0);
      }));
  });

  test("the evaluation draws every pair of both runs, and each difference with its interval", () =>
    opened("evaluation", wide, async (page) => {
      const run = JSON.parse(await readFile(reports.run, "utf8")) as SavedRun;
      const pairs = run.sts[0]!.subsets.reduce((sum, { scores }) => sum + scores.length, 0);
      const paths = await page
        .locator("figure path")
        .evaluateAll((found) => found.map((path) => path.getAttribute("d")!));
      const dots = paths.join("").split("M").length - 1;
      expect([pairs > 100, dots]).toEqual([true, 2 * pairs]);
      expect(await page.locator("figure circle").count()).toBe(1);
      expect(await page.locator("figure rect").count()).toBe(2 * run.sts[0]!.subsets.length);
    }));

  test("the evaluation's recipes open, and its sets are gone to, by the keyboard", () =>
    opened("evaluation", narrow, async (page) => {
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => location.hash === "#stsb-dev" && window.scrollY > 0); // the page takes its time
      await page.locator("summary").focus();
      await page.keyboard.press("Enter");
      await page.locator("details code").first().waitFor({ state: "visible" });
      expect(await overflow(page)).toBe(0);
    }));

  test("the recipe search draws its curve to the score it found", () =>
    opened("recipeSearch", wide, async (page) => {
      const [length] = await page
        .locator("figure path")
        .evaluateAll((paths) => paths.map((path) => (path as SVGPathElement).getTotalLength()));
      expect(length).toBeGreaterThan(300);
      const found = await page.locator("tr", { hasText: "found" }).locator("td.number").first().textContent();
      expect(await page.locator("svg title").textContent()).toContain(`to ${found}`);
    }));
});
