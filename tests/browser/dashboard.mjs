// The dashboard as operators use it, on a desk and on a phone: plots move, searches find, kicks work, recordings are saved,
// tokens are asked for; axe-core looks at each. Usage: dashboard.mjs URL CHROMIUM DIRECTORY GUARDED TOKEN, the last two being
// the URL of a server that asks for tokens, and one of an administrator's.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { FLAGS, expectAccessible, fitsWidth, within } from "./browser.mjs";

const [url, executablePath, screenshots, guarded, token] = process.argv.slice(2);
const STEP_MILLISECONDS = 20_000;
const VIEWPORTS = [
  { name: "desk", viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  { name: "phone", viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true },
];

/** Repeats an assertion until it holds. */
const eventually = (assertion) => within(STEP_MILLISECONDS, assertion);

/** Members of chat rooms: sockets of a page of the server that shows nothing. */
class Crew {
  static async of(browser) {
    const crew = new Crew();
    crew.page = await (await browser.newContext()).newPage();
    await crew.page.goto(`${url}/healthz`);
    await crew.page.evaluate(() => (window.sockets = []));
    return crew;
  }

  enter(room, username) {
    return this.open("/ws/chat", { roomId: room, username });
  }

  async open(path, query) {
    const at = await this.page.evaluate(([path, query]) => {
      const address = new URL(`${path}?${new URLSearchParams(query)}`, location.href);
      address.protocol = "ws:";
      const socket = new WebSocket(address);
      const ended = new Promise((resolve) => (socket.onclose = ({ code }) => resolve(code)));
      window.sockets.push({ socket, ended });
      return new Promise((resolve, reject) => {
        socket.onopen = () => resolve(window.sockets.length - 1);
        socket.onerror = () => reject(new Error("the socket does not open"));
      });
    }, [path, query]);
    const say = (content) => this.page.evaluate(([at, text]) => window.sockets[at].socket.send(text), [at, JSON.stringify({ content })]);
    /** The code with which it is closed. */
    const ended = () => this.page.evaluate((at) => window.sockets[at].ended, at);
    return { say, ended };
  }
}

/** A dashboard, and what it complains of and asks others for. */
async function open(browser, base, { viewport, colorScheme, hasTouch }) {
  const context = await browser.newContext({ viewport, colorScheme, hasTouch, acceptDownloads: true, bypassCSP: false });
  context.setDefaultTimeout(STEP_MILLISECONDS);
  const page = await context.newPage();
  const complaints = [];
  const hosts = new Set();
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("request", (request) => hosts.add(new URL(request.url()).host));
  await page.goto(`${base}/admin`);
  return { context, page, complaints, hosts };
}

/** The pixels of a plot. */
function pixels(page, title) {
  return page.locator("figure", { hasText: title }).locator("canvas").evaluate((canvas) => canvas.toDataURL());
}

async function drives(browser, { name, ...options }) {
  const room = `harbour ${name}`;
  const crew = await Crew.of(browser);
  const [ann, bob] = [await crew.enter(room, "Ann"), await crew.enter(room, "Bob <b>")];
  await crew.enter(`quay ${name}`, "Cid");
  const { context, page, complaints, hosts } = await open(browser, url, options);
  await page.locator("#state-text", { hasText: /^Live$/ }).waitFor();

  // Plots move while there is something to show.
  const talk = setInterval(() => ann.say("ahoy"), 50);
  const deliveries = page.locator("figure", { hasText: "Deliveries per second" });
  await eventually(async () => assert.match(await deliveries.locator("dd").first().textContent(), /^[1-9]/));
  const pictures = await pixels(page, "Deliveries per second");
  await eventually(async () => assert.notEqual(await pixels(page, "Deliveries per second"), pictures));
  clearInterval(talk);
  assert.equal(await page.locator("figure canvas").count(), 9);

  // A search finds, by name, and what it finds is text.
  await page.getByPlaceholder("Room", { exact: true }).fill(`HARBOUR ${name}`);
  const rooms = page.locator("#rooms tr");
  await eventually(async () => assert.deepEqual(await rooms.locator(".name").allTextContents(), [room]));
  await page.getByPlaceholder("User, address").fill("cid");
  await eventually(async () => assert.ok((await page.locator("#people .first .name").allTextContents()).every((user) => user === "Cid")));
  await page.getByPlaceholder("User, address").fill("");
  await page.getByRole("button", { name: `People: ${room}` }).click();
  const people = page.locator("#people .first .name");
  await eventually(async () => assert.deepEqual((await people.allTextContents()).sort(), ["Ann", "Bob <b>"]));
  await fitsWidth(page);
  await expectAccessible(page, `the dashboard, ${name}`);
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: join(screenshots, `dashboard-${name}.png`), fullPage: true });

  // What the room has recorded is a file of JSON Lines.
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: `Recording: ${room}` }).click()]);
  const lines = (await readFile(await download.path(), "utf8")).trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(lines[0].room, room);
  assert.ok(lines.some(({ direction, message }) => direction === "in" && message?.content === "ahoy"));
  assert.ok(lines.some(({ direction, deliveries: count }) => direction === "out" && count > 0));

  // Kicked, by keyboard alone; who says no is not.
  await page.getByRole("button", { name: `Kick: Bob <b> in ${room}` }).focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.waitFor();
  await expectAccessible(page, `a question, ${name}`);
  await page.screenshot({ path: join(screenshots, `dashboard-${name}-question.png`) });
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  await page.getByRole("button", { name: `Kick: Bob <b> in ${room}` }).focus();
  await page.keyboard.press("Enter");
  await dialog.getByRole("button", { name: "Kick" }).click();
  assert.equal(await bob.ended(), 4001);
  await eventually(async () => assert.deepEqual(await people.allTextContents(), ["Ann"]));
  const ended = page.locator("#ended tr", { hasText: "Bob <b>" }).first();
  await eventually(async () => assert.match(await ended.textContent(), /4001/));

  // Disconnected, and the room's sessions closed.
  await page.getByRole("button", { name: `Disconnect: Ann in ${room}` }).click();
  await dialog.getByRole("button", { name: "Disconnect" }).click();
  assert.equal(await ann.ended(), 4001);
  const dora = await crew.enter(room, "Dora");
  await page.getByRole("button", { name: `Close sessions: ${room}` }).click();
  await dialog.getByRole("button", { name: "Close sessions" }).click();
  assert.equal(await dora.ended(), 4001);

  // Who is in no room is found as well.
  const ella = await crew.open("/echo", { username: `Ella ${name}` });
  await page.getByRole("button", { name: "All rooms" }).click();
  await page.getByPlaceholder("User, address").fill(`ella ${name}`);
  await eventually(async () => assert.deepEqual(await people.allTextContents(), [`Ella ${name}`]));
  assert.match(await page.locator("#people tr").textContent(), /\/echo/);
  await fitsWidth(page);
  await expectAccessible(page, `somebody in no room, ${name}`);
  await page.screenshot({ path: join(screenshots, `dashboard-${name}-no-room.png`), fullPage: true });
  await page.getByRole("button", { name: `Disconnect: Ella ${name} at /echo` }).click();
  await dialog.getByRole("button", { name: "Disconnect" }).click();
  assert.equal(await ella.ended(), 4001);
  await eventually(async () => assert.deepEqual(await people.allTextContents(), []));
  await page.getByPlaceholder("User, address").fill("");

  // Banned, and the room deleted.
  const eve = await crew.enter(room, "Eve");
  await page.getByRole("button", { name: `People: ${room}` }).click();
  await eventually(async () => assert.deepEqual(await people.allTextContents(), ["Eve"]));
  await page.getByRole("button", { name: `Ban: Eve in ${room}` }).click();
  await dialog.getByRole("button", { name: "Ban" }).click();
  assert.equal(await eve.ended(), 4001);
  const again = await crew.enter(room, "Eve");
  assert.equal(await again.ended(), 4001);
  const fay = await crew.enter(room, "Fay");
  await page.getByRole("button", { name: `Delete: ${room}` }).click();
  await dialog.getByRole("button", { name: "Delete for good" }).click();
  assert.equal(await fay.ended(), 1000);
  await eventually(async () => assert.deepEqual(await rooms.locator(".name").allTextContents(), []));

  assert.deepEqual([...hosts], [new URL(url).host], "no other host is asked");
  assert.deepEqual(complaints, []);
  await context.close();
}

async function asksForTokens(browser, { name, ...options }) {
  const { context, page } = await open(browser, guarded, options);
  const field = page.getByRole("textbox", { name: "Token" });
  await field.waitFor();
  await expectAccessible(page, `the entrance, ${name}`);
  await page.screenshot({ path: join(screenshots, `dashboard-${name}-entrance.png`) });
  await field.fill("a.b.c");
  await page.keyboard.press("Enter");
  await page.getByText("This token is not accepted.").waitFor();
  await field.fill(token);
  await page.keyboard.press("Enter");
  await page.locator("#state-text", { hasText: /^Live$/ }).waitFor();
  assert.ok(!(await page.content()).includes(token), "the token is shown nowhere");
  await context.close();
}

const browser = await chromium.launch({ executablePath, args: FLAGS });
let failures = 0;
try {
  for (const options of VIEWPORTS) {
    for (const [what, scenario] of [["an operator drives it", drives], ["a server with keys asks for a token", asksForTokens]]) {
      try {
        await scenario(browser, options);
        console.log(`ok: ${what}, ${options.name}`);
      } catch (error) {
        failures += 1;
        console.error(`FAILED: ${what}, ${options.name}: ${error.stack}`);
        for (const page of browser.contexts().flatMap((context) => context.pages())) {
          await page.screenshot({ path: join(screenshots, `dashboard-${options.name}-failed.png`) }).catch(() => {});
        }
      } finally {
        await Promise.all(browser.contexts().map((context) => context.close()));
      }
    }
  }
} finally {
  await browser.close();
}
process.exit(failures > 0 ? 1 : 0);
