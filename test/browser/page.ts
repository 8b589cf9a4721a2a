import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** The browser's program: ONEWORD_CHROMIUM, or where Debian and others put it. */
export const browserProgram = [process.env.ONEWORD_CHROMIUM ?? "", ...places].find((file) => existsSync(file));

export function launchBrowser(): Promise<Browser> {
  if (browserProgram === undefined) throw new Error("no Chromium: install it, or name it in ONEWORD_CHROMIUM.");
  const quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
  return chromium.launch({
    executablePath: browserProgram,
    args: [...quiet, "--disable-component-update", "--disable-sync"],
    chromiumSandbox: process.getuid?.() !== 0, // which root cannot have
  });
}

export interface OpenedPage {
  readonly page: Page;
  /** Errors of scripts and the console, and requests for anything but the page itself. */
  readonly complaints: readonly string[];
}

/** Opens a file in a window of a width, in pixels. */
export async function openFile(browser: Browser, file: string, width: number): Promise<OpenedPage> {
  const page = await browser.newPage({ viewport: { width, height: 800 } });
  const complaints: string[] = [];
  const url = pathToFileURL(file).href;
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("request", (request) => {
    if (request.url() !== url) complaints.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  return { page, complaints };
}

/** Of what is drawn and written in some charts, in pixels of the window: the smallest letters, and the charts' sizes. */
export const chartsOf = (page: Page) =>
  page.evaluate(() =>
    Array.from(document.querySelectorAll("svg"), (svg) => {
      const { width, height } = svg.getBoundingClientRect();
      const scale = width / svg.viewBox.baseVal.width;
      const letters = Array.from(
        svg.querySelectorAll("text"),
        (text) => scale * parseFloat(getComputedStyle(text).fontSize),
      );
      return { width, height, smallestLetters: Math.min(...letters) };
    }),
  );

/** Letters and width of table cells, in pixels. */
export const cellsOf = (page: Page, selector: string) =>
  page.locator(selector).evaluateAll((cells) =>
    cells.map((cell) => {
      const { width, height } = cell.getBoundingClientRect();
      return { text: cell.textContent ?? "", width, height, letters: parseFloat(getComputedStyle(cell).fontSize) };
    }),
  );

/** By how many pixels the page is wider than its window. */
export const overflow = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
