// What "The first two minutes" of the README promise, with its own commands. Usage: first_minutes.mjs CHROMIUM DIRECTORY
// COMMANDS, the last being a JSON array of the shell blocks: start, say, kill, start again, read.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [executablePath, pictures, blocks] = process.argv.slice(2);
const [start, say, kill, startAgain, read] = JSON.parse(blocks);
const MILLISECONDS = 30_000;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** One shell for all commands, for `$!` is its own. */
class Shell {
  #process = spawn("bash", { stdio: ["pipe", "pipe", "inherit"] });
  #waiting = [];

  constructor() {
    createInterface({ input: this.#process.stdout }).on("line", (line) => {
      console.log(line);
      this.#waiting = this.#waiting.filter(({ wanted, resolve }) => !(line.includes(wanted) && (resolve(line), true)));
    });
  }

  /** Runs a block, and `then`, and waits for a line of output that has `wanted` in it. */
  run(block, wanted, then = "") {
    console.log(`$ ${block.trim()}`);
    const line = new Promise((resolve, reject) => {
      this.#waiting.push({ wanted, resolve });
      setTimeout(() => reject(new Error(`no line with ${wanted}`)), MILLISECONDS).unref();
    });
    this.#process.stdin.write(`${block}\n${then}\n`);
    return line;
  }

  /** Runs a block to its end. */
  finish(block) {
    return this.run(block, "done", "echo; echo done");
  }

  end() {
    this.#process.stdin.end("kill $!; wait\n");
    return new Promise((resolve) => this.#process.on("close", resolve));
  }
}

async function enter(browser, name) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(MILLISECONDS);
  await page.goto("http://127.0.0.1:8080");
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("Room", { exact: true }).fill("lobby");
  await page.getByRole("button", { name: "Enter the room" }).click();
  await connected(page);
  return page;
}

function connected(page) {
  return page.locator("#state-text", { hasText: /^Connected$/ }).waitFor();
}

/** Waits until the messages shown, without notices, are these. */
async function shows(page, texts) {
  await page.getByRole("log").getByText(texts.at(-1), { exact: true }).waitFor();
  assert.deepEqual(await page.getByRole("log").locator(".text").allTextContents(), texts);
}

const shell = new Shell();
const browser = await chromium.launch({ executablePath, args: FLAGS });
let tabs = [];
try {
  await shell.run(start, "http://127.0.0.1:8080");
  tabs = [await enter(browser, "Ann"), await enter(browser, "Bob")];
  await shell.finish(say);
  for (const tab of tabs) await shows(tab, ["Hello from curl"]);

  await shell.finish(kill);
  for (const tab of tabs) await tab.getByText("Reconnecting…").waitFor();
  await tabs[0].getByLabel("Message", { exact: true }).fill("Written meanwhile");
  await tabs[0].getByLabel("Message", { exact: true }).press("Enter");

  await shell.run(startAgain, "http://127.0.0.1:8080");
  for (const tab of tabs) {
    await connected(tab);
    await shows(tab, ["Hello from curl", "Written meanwhile"]);
    assert.equal(await tab.locator(".gap").count(), 0, "something is missing");
  }
  const log = await shell.run(read, "Hello from curl", "echo");
  assert.equal(log.split('"content":"Written meanwhile"').length, 2, "stored once");
  console.log("1 passed, 0 failed");
} catch (error) {
  for (const [at, tab] of tabs.entries()) await tab.screenshot({ path: join(pictures, `tab-${at}.png`) });
  console.log(`${error.stack}\n0 passed, 1 failed`);
  process.exitCode = 1;
} finally {
  await browser.close();
  await shell.end();
}
