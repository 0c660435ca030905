// The pages that `foghorn bench` writes, on a desk and on a phone, in the light and in the dark: nothing stands beside the
// window, labels of an axis do not cover each other, axe-core finds nothing serious. Usage: report.mjs CHROMIUM DIRECTORY PAGE…
import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { FLAGS, expectAccessible, fitsWidth } from "./browser.mjs";

const [executablePath, screenshots, ...pages] = process.argv.slice(2);
const VIEWPORTS = [
  { name: "desk", viewport: { width: 1280, height: 900 } },
  { name: "phone", viewport: { width: 390, height: 844 }, hasTouch: true },
];

/** Pairs of labels of one axis that cover each other, and labels that stand beside the window. */
function unreadable() {
  const found = [];
  for (const plot of document.querySelectorAll(".plot")) {
    for (const axis of [".x", ".y"]) {
      const labels = [...plot.querySelectorAll(axis)].map((label) => [label.textContent, label.getBoundingClientRect()]).filter(([, box]) => box.width > 0);
      labels.forEach(([text, box], at) => {
        if (box.left < 0 || box.right > innerWidth) found.push(`${text} is cut off`);
        for (const [other, { left, right, top, bottom }] of labels.slice(at + 1)) {
          if (left < box.right && box.left < right && top < box.bottom && box.top < bottom) found.push(`${text} covers ${other}`);
        }
      });
    }
  }
  return found;
}

async function isReadable(browser, path, { name, ...options }, colorScheme) {
  const context = await browser.newContext({ ...options, colorScheme });
  const page = await context.newPage();
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  const url = pathToFileURL(path).href;
  await page.goto(url);
  assert.deepEqual(asked, [url], "it needs nothing else");
  assert.ok(await page.getByRole("rowheader", { name: "version", exact: true }).first().isVisible());
  await fitsWidth(page);
  assert.deepEqual(await page.evaluate(unreadable), []);
  await expectAccessible(page, `${basename(path)}, ${name}, ${colorScheme}`);
  await page.screenshot({ path: join(screenshots, `report-${basename(path, ".html")}-${name}-${colorScheme}.png`), fullPage: true });
}

const browser = await chromium.launch({ executablePath, args: FLAGS });
let failures = 0;
try {
  for (const path of pages) {
    for (const options of VIEWPORTS) {
      for (const colorScheme of ["light", "dark"]) {
        const what = `${basename(path)}, ${options.name}, ${colorScheme}`;
        try {
          await isReadable(browser, path, options, colorScheme);
          console.log(`ok: the page of a report can be read: ${what}`);
        } catch (error) {
          failures += 1;
          console.error(`FAILED: the page of a report: ${what}: ${error.stack}`);
        } finally {
          await Promise.all(browser.contexts().map((context) => context.close()));
        }
      }
    }
  }
} finally {
  await browser.close();
}
process.exit(failures > 0 ? 1 : 0);
