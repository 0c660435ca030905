// The chat page as people use it: two windows, a phone, a lost connection; two pages that find each other; events. Usage: scenarios.mjs URL CHROMIUM DIRECTORY
// GUARDED TOKEN, the last two being the URL of a server that asks for tokens, and one of Zoë's.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { FLAGS, within } from "./browser.mjs";
import { Proxy } from "./proxy.mjs";

const [url, executablePath, screenshots, guarded, token] = process.argv.slice(2);
const STEP_MILLISECONDS = 10_000;
const SCENARIO_MILLISECONDS = 60_000;
const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
// Only for pages that may use the microphone, which are not hidden behind names of mDNS, either.
const MICROPHONE_FLAGS = [...FLAGS, "--allow-loopback-in-peer-connection"];

/** A window of its own profile in a room. */
class Visitor {
  static async enter(browser, room, name, { base = url, viewport = DESKTOP, ...options } = {}) {
    const context = await browser.newContext({ viewport, ...options });
    context.setDefaultTimeout(STEP_MILLISECONDS);
    const visitor = new Visitor();
    visitor.context = context;
    visitor.page = await context.newPage();
    visitor.complaints = [];
    visitor.page.on("pageerror", (error) => visitor.complaints.push(String(error)));
    visitor.page.on("console", (message) => {
      if (!["error", "warning"].includes(message.type())) return;
      visitor.complaints.push(`${message.text()} (${message.location().url})`);
    });
    await visitor.page.goto(`${base}/#${new URLSearchParams({ room })}`);
    await visitor.page.getByLabel("Your name").fill(name);
    await visitor.page.getByRole("button", { name: "Enter the room" }).click();
    await visitor.connected();
    return visitor;
  }

  get log() {
    return this.page.getByRole("log", { name: "Messages" });
  }

  get box() {
    return this.page.getByLabel("Message", { exact: true });
  }

  async connected() {
    await this.page.locator("#state-text", { hasText: /^Connected$/ }).waitFor();
  }

  async say(text) {
    await this.box.fill(text);
    await this.box.press("Enter");
  }

  /** Waits until the log, without notices, is exactly these texts. */
  async sees(texts) {
    const shown = () => this.log.locator(".text").allTextContents();
    await eventually(async () => assert.deepEqual(await shown(), texts));
  }

  /** The numbers of all messages shown, notices included, from top to bottom. */
  seqs() {
    return this.log.locator("[data-seq]").evaluateAll((all) => all.map((one) => Number(one.dataset.seq)));
  }

  /** The day of each message shown. */
  days() {
    return this.log.locator("time").evaluateAll((all) => all.map((one) => new Date(one.dateTime).toDateString()));
  }

  async people(names) {
    await eventually(async () => assert.deepEqual(await this.page.locator("#people-list .name").allTextContents(), names));
  }

  /** No complaint but those that `expected` allows. */
  behaved(expected = () => false) {
    // The list of people is an offer of the server that the page can do without; Chromium reports a refusal by itself.
    const optional = (text) => /status of 40[134] .*\/online\)$/.test(text);
    assert.deepEqual(this.complaints.filter((text) => !optional(text) && !expected(text)), [], "console messages");
  }
}

/** Whether Chromium complains of a socket that was cut, or of a question for the list of people that was on its way then. */
function ofLostConnection(text) {
  return text.startsWith("WebSocket connection to") || /net::ERR_\w+ \(.*\/online\)$/.test(text);
}

/** Repeats an assertion until it holds. */
const eventually = (assertion) => within(STEP_MILLISECONDS, assertion);

function unique(prefix) {
  return `${prefix} ${randomUUID().slice(0, 8)}`;
}

function numbered(label, count) {
  return Array.from({ length: count }, (_, at) => `${label} ${at + 1}`);
}

/** A request to the REST interface, which must succeed. */
async function rest(method, path, body) {
  const headers = body && { "Content-Type": "application/json" };
  const answer = await fetch(`${url}/api/chat/rooms${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: status ${answer.status}`);
  return answer.json();
}

/** Publishes texts in the given order. */
async function publish(room, sender, texts) {
  for (const content of texts) await rest("POST", `/${encodeURIComponent(room)}/messages`, { sender, content });
}

/** A page that runs the example of docs/signaling.md in a room: its data channel and what came over it are in `window`. */
async function meet(browser, room) {
  const text = await readFile(new URL("../../docs/signaling.md", import.meta.url), "utf8");
  const [, example] = text.match(/```js\nexport (function meet.*?)```/s);
  const context = await browser.newContext({ permissions: ["microphone"] });
  context.setDefaultTimeout(STEP_MILLISECONDS);
  // Two pages on one machine need no network: they try the other's loopback address alone.
  await context.addInitScript(() => {
    const add = RTCPeerConnection.prototype.addIceCandidate;
    RTCPeerConnection.prototype.addIceCandidate = async function (candidate) {
      if (candidate.candidate.includes(" 127.0.0.1 ")) await add.call(this, candidate);
    };
  });
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  await page.evaluate(`window.meet = ${example}`);
  await page.evaluate((room) => {
    window.received = [];
    window.socket = window.meet(room, (channel, id) => {
      channel.binaryType = "arraybuffer";
      channel.onmessage = ({ data }) => window.received.push(...new Uint8Array(data));
      Object.assign(window, { channel, id });
    });
    return new Promise((resolve, reject) => Object.assign(window.socket, { onopen: resolve, onerror: reject }));
  }, room);
  return { page, complaints };
}

const scenarios = {
  async "two windows chat both ways and see who is there"(browser) {
    const room = unique("pier");
    const ann = await Visitor.enter(browser, room, "Ann");
    await ann.people(["Ann"]);
    const bob = await Visitor.enter(browser, room, "Bob");
    await ann.people(["Ann", "Bob"]);
    await bob.say("Is anyone there?");
    await ann.sees(["Is anyone there?"]);
    await ann.say("Yes.");
    for (const visitor of [ann, bob]) await visitor.sees(["Is anyone there?", "Yes."]);
    await bob.people(["Bob", "Ann"]);
    assert.equal(await ann.page.locator("#pending > *").count(), 0, "an acknowledged message is still pending");
    assert.equal(await ann.log.locator(".own").count(), 1);
    await bob.page.getByRole("button", { name: "Leave" }).click();
    await ann.log.getByText("Bob left").waitFor();
    await ann.people(["Ann"]);
    for (const visitor of [ann, bob]) visitor.behaved();
  },

  async "a lost connection comes back with what was missed, once"(browser) {
    const proxy = await Proxy.to(new URL(url));
    try {
      const room = unique("storm");
      const ann = await Visitor.enter(browser, room, "Ann", { base: proxy.url });
      const bob = await Visitor.enter(browser, room, "Bob");
      await bob.say("before");
      await ann.sees(["before"]);

      proxy.break();
      await ann.page.getByText("Reconnecting…").waitFor();
      await bob.log.getByText("Ann left").waitFor();
      const missed = numbered("missed", 25);
      for (const text of missed) await bob.say(text);
      await bob.sees(["before", ...missed]);
      await ann.say("written offline");
      await ann.page.locator("#pending").getByText("written offline").waitFor();

      proxy.mend();
      await ann.connected();
      await bob.say("after");
      for (const visitor of [ann, bob]) {
        await eventually(async () => assert.equal(await visitor.log.getByText("written offline").count(), 1));
        await eventually(async () => assert.equal(await visitor.log.getByText("after", { exact: true }).count(), 1));
      }
      const texts = await bob.log.locator(".text").allTextContents();
      assert.deepEqual(texts.slice(0, 26), ["before", ...missed]);
      assert.equal(texts.length, 28, "a message is missing or doubled");
      await ann.sees(texts);
      const seqs = await ann.seqs();
      assert.deepEqual(seqs, [...new Set(seqs)].sort((a, b) => a - b), "doubled or out of order");
      assert.equal(await ann.log.locator(".gap").count(), 0, "a gap although nothing was lost");
      assert.equal(await ann.page.locator("#pending > *").count(), 0);
      await ann.people(["Ann", "Bob"]);
      bob.behaved();
      ann.behaved(ofLostConnection);
    } finally {
      proxy.close();
    }
  },

  async "who was away for longer than the server's memory reaches back gets everything, once"(browser) {
    const proxy = await Proxy.to(new URL(url));
    try {
      const room = unique("voyage");
      const ann = await Visitor.enter(browser, room, "Ann", { base: proxy.url });
      await publish(room, "Bob", ["before"]);
      await ann.sees(["before"]);
      proxy.break();
      await ann.page.getByText("Reconnecting…").waitFor();
      // The memory holds 256 messages of a room.
      const missed = numbered("missed", 300);
      await publish(room, "Bob", missed);
      proxy.mend();
      await ann.connected();
      await publish(room, "Bob", ["after"]);
      await ann.sees(["before", ...missed, "after"]);
      const seqs = await ann.seqs();
      assert.deepEqual(seqs, Array.from(seqs, (_, at) => at + 1), "missing, doubled or out of order");
      assert.equal(await ann.log.locator(".gap").count(), 0, "a gap although nothing was lost");
      ann.behaved(ofLostConnection);
    } finally {
      proxy.close();
    }
  },

  async "who joins later sees the last messages, and earlier ones on scrolling up"(browser) {
    const { id } = await rest("POST", "", { name: unique("archive"), createdBy: "Bob" });
    const texts = numbered("entry", 130);
    await publish(id, "Bob", texts);
    const ann = await Visitor.enter(browser, id, "Ann");
    await ann.log.getByText("Ann joined").waitFor();
    // Fifty messages of any kind: her own JOIN may count or not.
    const shown = await ann.log.locator(".text").allTextContents();
    assert.ok([49, 50].includes(shown.length), `${shown.length} messages of history`);
    assert.deepEqual(shown, texts.slice(-shown.length));
    assert.equal(await ann.page.locator("#newer").isVisible(), false, "history is announced as new");

    const place = () => ann.log.getByText(shown[0], { exact: true }).evaluate((found) => found.getBoundingClientRect().top);
    // Its own event comes with the next frame: what is measured now is measured before anything is added.
    const before = await ann.page.locator("#scroller").evaluate((scroller, text) => {
      scroller.scrollTop = 0;
      return [...document.querySelectorAll(".text")].find((found) => found.textContent === text).getBoundingClientRect().top;
    }, shown[0]);
    const more = texts.slice(-shown.length - 50);
    await ann.sees(more);
    // What moves it is no more than the heading of the day and the button that went or stayed.
    assert.ok(Math.abs((await place()) - before) < 100, `${await place()} after ${before}: the reader was moved`);
    await ann.page.locator("#scroller").evaluate((scroller) => (scroller.scrollTop = 0));
    await ann.sees(texts);
    await ann.page.getByRole("button", { name: "Earlier messages" }).waitFor({ state: "hidden" });
    assert.equal(await ann.log.getByRole("heading", { level: 2 }).count(), new Set(await ann.days()).size, "days");
    const seqs = await ann.seqs();
    assert.deepEqual(seqs, Array.from(seqs, (_, at) => at + 1), "missing, doubled or out of order");
    ann.behaved();
  },

  async "a room is created, found in the list by others and known by its name"(browser) {
    const title = unique("Harbour <b>office</b>, second floor, behind the old lamp store");
    const context = await browser.newContext({ viewport: DESKTOP });
    context.setDefaultTimeout(STEP_MILLISECONDS);
    const page = await context.newPage();
    await page.goto(url);
    await page.getByRole("button", { name: "New room" }).click();
    await page.getByLabel("What shall it be called?").fill(title);
    await page.getByRole("button", { name: "Create", exact: true }).click();
    await page.getByRole("alert").getByText("Your name is missing.").waitFor();
    await page.getByLabel("Your name").fill("Ann");
    await page.getByRole("button", { name: "Create", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: title }).waitFor();
    await page.locator("#state-text", { hasText: /^Connected$/ }).waitFor();

    const id = new URLSearchParams(new URL(page.url()).hash.slice(1)).get("room");
    const { name, createdBy } = await rest("GET", `/${id}`);
    assert.deepEqual({ name, createdBy }, { name: title, createdBy: "Ann" });

    const other = await (await browser.newContext({ viewport: PHONE })).newPage();
    other.setDefaultTimeout(STEP_MILLISECONDS);
    await other.goto(url);
    await other.getByLabel("Your name").fill("Bob");
    const list = other.getByRole("region", { name: "Rooms" });
    await list.getByRole("button", { name: title }).waitFor();
    assert.equal(await list.getByRole("button", { name: title }).count(), 1);
    assert.match(await list.getByRole("listitem").first().textContent(), /Harbour/, "the newest is not the first");
    const { x, width } = await other.locator(".card").boundingBox();
    assert.ok(x >= 0 && x + width <= PHONE.width, `the entrance reaches from ${x} to ${x + width}`);
    await list.getByRole("button", { name: title }).click();
    await other.getByRole("heading", { level: 1, name: title }).waitFor();
    await page.getByRole("log").getByText("Bob joined").waitFor();

    // A link names the room by its id; the page shows the name.
    const guest = await Visitor.enter(browser, id, "Cy");
    await guest.page.getByRole("heading", { level: 1, name: title }).waitFor();
    await guest.people(["Cy", "Ann", "Bob"]);
    assert.equal(await page.locator("b").count(), 0, "markup came alive");
    guest.behaved();
  },

  async "a server that asks for a token is entered with one, in the name it says"(browser) {
    const context = await browser.newContext({ viewport: DESKTOP });
    context.setDefaultTimeout(STEP_MILLISECONDS);
    const page = await context.newPage();
    const room = unique("fort");
    await page.goto(`${guarded}/#${new URLSearchParams({ room })}`);
    await page.getByLabel("Token").fill(token);
    assert.equal(await page.getByLabel("Your name").inputValue(), "Zoë");
    await page.getByRole("heading", { name: "Rooms" }).waitFor();
    await page.getByRole("button", { name: "Enter the room" }).click();
    await page.locator("#state-text", { hasText: /^Connected$/ }).waitFor();
    const box = page.getByLabel("Message", { exact: true });
    await box.fill("inside the walls");
    await box.press("Enter");
    const log = page.getByRole("log", { name: "Messages" });
    await log.getByText("inside the walls").waitFor();
    // A reload stays in the room: the tab keeps the token.
    await page.reload();
    await log.getByText("inside the walls").waitFor();
    assert.ok(!page.url().includes(token));
    // Without it the room is closed, and the entrance says what is missing. Never is it called connected meanwhile.
    await page.addInitScript(() => {
      window.states = [];
      const note = () => window.states.push(document.getElementById("state-text")?.textContent);
      new MutationObserver(note).observe(document, { subtree: true, childList: true, characterData: true });
    });
    await page.evaluate(() => sessionStorage.removeItem("foghorn.token"));
    await page.reload();
    await page.getByText("Enter a token").waitFor({ timeout: 20_000 });
    assert.ok(!(await page.evaluate(() => window.states)).includes("Connected"), "connected before a token was accepted");
    await page.getByRole("button", { name: "Back to the entrance" }).click();
    await page.getByLabel("Token").waitFor();
    assert.deepEqual(await nameless(page), []);
  },

  async "the page does without a REST interface that fails"(browser) {
    const context = await browser.newContext({ viewport: DESKTOP });
    context.setDefaultTimeout(STEP_MILLISECONDS);
    await context.route("**/api/**", (route) => route.fulfill({ status: 503, body: "busy" }));
    const page = await context.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    const room = unique("alone");
    await page.goto(`${url}/#${new URLSearchParams({ room })}`);
    await page.getByLabel("Your name").fill("Ann");
    await page.getByRole("button", { name: "Enter the room" }).click();
    await page.locator("#state-text", { hasText: /^Connected$/ }).waitFor();
    const bob = await Visitor.enter(browser, room, "Bob");
    await bob.say("hello");
    await page.getByRole("log").getByText("hello", { exact: true }).waitFor();
    await eventually(async () =>
      assert.deepEqual(await page.locator("#people-list .name").allTextContents(), ["Ann", "Bob"]),
    );
    assert.equal(await page.getByRole("heading", { level: 1 }).textContent(), room);
    assert.deepEqual(errors, []);
    bob.behaved();
  },

  async "a message is shown as text, however it looks or long it is"(browser) {
    const room = unique("markup");
    const ann = await Visitor.enter(browser, room, "<i>Ann</i>");
    const bob = await Visitor.enter(browser, room, "Bob");
    const texts = [
      `<img src=x onerror="document.title='broken'"><script>document.title='broken'</script>`,
      "&lt;b&gt; </p></article>",
      "w".repeat(6_000),
      "two\nlines",
      "see https://example.org/a?b=1&c=<d>.",
    ];
    for (const text of texts) await ann.say(text);
    for (const visitor of [ann, bob]) {
      await visitor.sees(texts);
      assert.equal(await visitor.log.locator("img, script, i, b").count(), 0, "markup came alive");
      assert.notEqual(await visitor.page.title(), "broken");
      const [scroll, client] = await visitor.page
        .locator("#scroller")
        .evaluate((found) => [found.scrollWidth, found.clientWidth]);
      assert.ok(scroll <= client, `the conversation is ${scroll} wide in ${client}`);
    }
    assert.equal(await bob.log.locator("a").getAttribute("href"), "https://example.org/a?b=1&c=");
    await bob.log.getByText("<i>Ann</i>", { exact: true }).first().waitFor();
    for (const visitor of [ann, bob]) visitor.behaved();
  },

  async "a burst is laid out a few times, not once for each message"(browser) {
    const room = unique("burst");
    const count = 1_000;
    const ann = await Visitor.enter(browser, room, "Ann");
    const inspector = await ann.context.newCDPSession(ann.page);
    await inspector.send("Performance.enable");
    const layouts = async () =>
      (await inspector.send("Performance.getMetrics")).metrics.find(({ name }) => name === "LayoutCount").value;
    const before = await layouts();
    const bob = await (await browser.newContext()).newPage();
    await bob.goto(url);
    await bob.evaluate(
      ({ room, texts }) =>
        new Promise((resolve, reject) => {
          const query = new URLSearchParams({ roomId: room, username: "Bob" });
          const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws/chat?${query}`);
          let seen = 0;
          socket.onopen = () => {
            for (const content of texts) socket.send(JSON.stringify({ content }));
          };
          socket.onmessage = ({ data }) => {
            if (data.includes('"type":"MESSAGE"') && (seen += 1) === texts.length) resolve();
          };
          socket.onerror = reject;
        }),
      { room, texts: numbered("line", count) },
    );
    await eventually(async () => assert.equal(await ann.log.getByText(`line ${count}`, { exact: true }).count(), 1));
    const seqs = await ann.seqs();
    assert.deepEqual(seqs, Array.from(seqs, (_, at) => at + seqs[0]), "missing, doubled or out of order");
    // A frame is laid out a few times; one for each message would be a thousand.
    assert.ok((await layouts()) - before < count / 4, `${(await layouts()) - before} layouts for ${count} messages`);
    ann.behaved();
  },

  async "two people of one name are two people"(browser) {
    const room = unique("twins");
    const one = await Visitor.enter(browser, room, "Ann");
    const other = await Visitor.enter(browser, room, "Ann");
    await one.say("it is me");
    for (const visitor of [one, other]) await visitor.sees(["it is me"]);
    assert.equal(await one.log.locator(".own").count(), 1);
    assert.equal(await other.log.locator(".own").count(), 0, "another person's message is shown as one's own");
    // After a reload it is still one's own.
    await one.page.reload();
    await one.sees(["it is me"]);
    assert.equal(await one.log.locator(".own").count(), 1, "forgotten by a reload");
    for (const visitor of [one, other]) visitor.behaved();
  },

  async "who is kicked cannot write any more, and is told why"(browser) {
    const room = unique("plank");
    const ann = await Visitor.enter(browser, room, "Ann");
    await rest("POST", `/${encodeURIComponent(room)}/kick?username=Ann`);
    await ann.page.getByText("You were asked to leave the room.").waitFor();
    assert.equal(await ann.box.isDisabled(), true, "the composer looks alive");
    assert.equal(await ann.page.getByRole("button", { name: "Send", exact: true }).isDisabled(), true);
    await ann.page.getByRole("button", { name: "Back to the entrance" }).click();
    await ann.page.getByRole("button", { name: "Enter the room" }).click();
    await ann.connected();
    await ann.say("back again");
    await ann.sees(["back again"]);
    ann.behaved();
  },

  async "a name that is written from right to left turns nothing else around"(browser) {
    const room = unique("bidi");
    const name = "שָׁלוֹם 1";
    const ann = await Visitor.enter(browser, room, "Ann");
    const guest = await Visitor.enter(browser, room, name);
    await ann.log.locator("bdi").getByText(name).first().waitFor();
    await ann.people(["Ann", name]);
    assert.equal(await ann.page.locator("#people-list bdi").count(), 2);
    for (const visitor of [ann, guest]) visitor.behaved();
  },

  async "the keyboard writes, breaks lines and sends"(browser) {
    const ann = await Visitor.enter(browser, unique("keys"), "Ann");
    assert.equal(await ann.page.evaluate(() => document.activeElement.id), "text", "the focus is not in the message box");
    await ann.page.keyboard.type("first");
    await ann.page.keyboard.press("Shift+Enter");
    await ann.page.keyboard.type("second");
    await ann.page.keyboard.press("Enter");
    await ann.sees(["first\nsecond"]);
    await ann.page.keyboard.press("Enter");
    await ann.say("   ");
    await ann.say("third");
    await ann.sees(["first\nsecond", "third"]);
    ann.behaved();
  },

  async "a reload stays in the room and the address is a link to it"(browser) {
    const room = unique("bücher & co");
    const ann = await Visitor.enter(browser, room, "Ann");
    await ann.page.reload();
    await ann.connected();
    assert.equal(await ann.page.locator("#room-title").textContent(), room);
    const link = ann.page.url();
    await ann.page.getByRole("button", { name: "Leave" }).click();
    assert.equal(await ann.page.getByLabel("Your name").inputValue(), "Ann", "the name is forgotten");
    const other = await ann.context.newPage();
    await other.goto(link);
    assert.equal(await other.getByLabel("Room", { exact: true }).inputValue(), room);
    ann.behaved();
  },

  async "who reads further up is told of new messages and not moved"(browser) {
    const room = unique("scroll");
    const ann = await Visitor.enter(browser, room, "Ann");
    const bob = await Visitor.enter(browser, room, "Bob");
    const texts = numbered("line", 40);
    for (const text of texts) await bob.say(text);
    await ann.sees(texts);
    const top = () => ann.page.locator("#scroller").evaluate((found) => found.scrollTop);
    await eventually(async () => assert.ok((await top()) > 200, "the newest is not in view"));
    await ann.page.locator("#scroller").evaluate((found) => (found.scrollTop = 0));
    await eventually(async () => assert.equal(await top(), 0));
    for (const text of ["news", "more news"]) await bob.say(text);
    await ann.page.getByRole("button", { name: "2 new messages" }).click();
    await ann.log.getByText("more news").waitFor();
    await eventually(async () => {
      const rest = await ann.page
        .locator("#scroller")
        .evaluate((found) => found.scrollHeight - found.scrollTop - found.clientHeight);
      assert.ok(rest < 2, `${rest} pixels from the end`);
    });
    assert.equal(await ann.page.locator("#newer").isVisible(), false);
    for (const visitor of [ann, bob]) visitor.behaved();
  },

  async "on a phone everything fits and the list of people opens and closes"(browser) {
    const room = unique("phone");
    const ann = await Visitor.enter(browser, room, "Ann", { viewport: PHONE, hasTouch: true, isMobile: true });
    await ann.say("x".repeat(300));
    await ann.sees(["x".repeat(300)]);
    const size = await ann.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth, innerHeight]);
    assert.ok(size[0] <= size[1], `the page is ${size[0]} wide in ${size[1]}`);
    for (const control of [ann.box, ann.page.getByRole("button", { name: "Send", exact: true })]) {
      const { x, y, width, height } = await control.boundingBox();
      assert.ok(x >= 0 && x + width <= size[1] && y + height <= size[2], "a control is outside the screen");
    }
    const list = ann.page.getByRole("complementary", { name: "Here now: 1" });
    assert.equal(await list.isVisible(), false);
    const opener = ann.page.getByRole("button", { name: "Who is here" });
    await opener.tap();
    await list.waitFor();
    await ann.page.keyboard.press("Escape");
    await list.waitFor({ state: "hidden" });
    assert.equal(await opener.evaluate((found) => found === document.activeElement), true, "the focus is lost");
    assert.deepEqual(await nameless(ann.page), [], "without a name on a phone");
    ann.behaved();
  },

  async "every control has a name and the page its landmarks"(browser) {
    const context = await browser.newContext({ viewport: DESKTOP });
    const entrance = await context.newPage();
    await entrance.goto(url);
    await entrance.getByRole("heading", { level: 1, name: "Foghorn" }).waitFor();
    assert.deepEqual(await nameless(entrance), []);
    const ann = await Visitor.enter(browser, unique("names"), "Ann");
    assert.deepEqual(await nameless(ann.page), []);
    await ann.page.getByRole("main").waitFor();
    await ann.page.getByRole("banner").waitFor();
    await ann.page.getByRole("heading", { level: 1 }).waitFor();
    assert.equal(await ann.log.getAttribute("aria-live"), "polite");
    assert.equal(await ann.page.locator("html").getAttribute("lang"), "en");
    ann.behaved();
  },

  async "two pages find each other by signaling and exchange bytes without the server"(browser) {
    const room = unique("ferry & co");
    const ann = await meet(browser, room);
    const bob = await meet(browser, room);
    const stranger = await meet(browser, unique("another"));
    for (const { page } of [ann, bob]) await page.waitForFunction(() => window.channel?.readyState === "open");
    const ids = await Promise.all([ann, bob].map(({ page }) => page.evaluate(() => window.id)));
    for (const id of ids) assert.match(id, /^[0-9a-f]{32}$/);
    assert.notEqual(ids[0], ids[1]);

    // What the server says from now on is heard apart from what comes over the channel.
    for (const { page } of [ann, bob]) {
      await page.evaluate(() => {
        window.heard = [];
        window.socket.onmessage = ({ data }) => window.heard.push(JSON.parse(data));
      });
    }
    const exchange = async (from, to) => {
      const bytes = await from.page.evaluate(() => {
        const bytes = Uint8Array.from({ length: 200_000 }, () => Math.random() * 256);
        for (let at = 0; at < bytes.length; at += 16_000) window.channel.send(bytes.subarray(at, at + 16_000));
        return [...bytes];
      });
      await to.page.waitForFunction((length) => window.received.length >= length, bytes.length);
      const received = await to.page.evaluate(() => window.received.splice(0));
      assert.ok(bytes.length === received.length && bytes.every((byte, at) => byte === received[at]), "other bytes came");
    };
    await exchange(ann, bob);
    await exchange(bob, ann);

    await bob.page.close();
    const close = await ann.page.waitForFunction(() => window.heard.find(({ type }) => type === "close"));
    assert.deepEqual(await close.jsonValue(), { type: "close", sender: ids[0] });
    const types = await ann.page.evaluate(() => window.heard.map(({ type }) => type));
    assert.ok(types.every((type) => ["candidate", "close"].includes(type)), `the server relayed ${types}`);
    assert.equal(await stranger.page.evaluate(() => window.channel), undefined, "rooms have met");
    assert.deepEqual([ann, bob, stranger].flatMap(({ complaints }) => complaints), []);
  },

  async "an EventSource that is cut off comes back by itself and misses nothing"(browser) {
    const proxy = await Proxy.to(new URL(url));
    try {
      const room = unique("events");
      const page = await (await browser.newContext()).newPage();
      await page.goto(proxy.url);
      await page.evaluate((path) => {
        window.heard = [];
        window.source = new EventSource(path);
        window.source.onmessage = ({ data, lastEventId }) => window.heard.push({ ...JSON.parse(data), lastEventId });
        return new Promise((resolve) => (window.source.onopen = resolve));
      }, `/sse/rooms/${encodeURIComponent(room)}`);
      const heard = () => page.evaluate(() => window.heard.map(({ content }) => content));
      const rounds = [];
      for (const round of [1, 2, 3]) {
        const near = numbered(`near ${round}`, 5);
        await publish(room, "Bob", near);
        rounds.push(...near);
        await eventually(async () => assert.deepEqual(await heard(), rounds));
        proxy.break();
        // More than the server's memory of a room holds: it is read from the store.
        const far = numbered(`far ${round}`, round === 2 ? 300 : 20);
        await publish(room, "Bob", far);
        rounds.push(...far);
        proxy.mend();
      }
      await eventually(async () => assert.deepEqual(await heard(), rounds));
      const ids = await page.evaluate(() => window.heard.map(({ lastEventId }) => Number(lastEventId.split(":")[1])));
      assert.deepEqual(ids, Array.from(ids, (_, at) => at + 1), "positions");
    } finally {
      proxy.close();
    }
  },

  async "nothing is loaded from elsewhere"(browser) {
    const context = await browser.newContext();
    const page = await context.newPage();
    const elsewhere = [];
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== url) elsewhere.push(request.url());
    });
    await page.goto(url, { waitUntil: "networkidle" });
    assert.deepEqual(elsewhere, []);
  },
};

/** Visible controls and pictures without an accessible name, and ids that occur twice. */
function nameless(page) {
  return page.evaluate(() => {
    const named = (found) =>
      found.getAttribute("aria-label") || found.labels?.length > 0 || (found.matches("button, a") && found.innerText.trim());
    const controls = [...document.querySelectorAll("button, a, input, textarea, select")];
    const pictures = [...document.querySelectorAll("img")].filter((found) => !found.hasAttribute("alt"));
    const drawings = [...document.querySelectorAll("svg")].filter((found) => !found.closest("[aria-hidden=true]"));
    const ids = [...document.querySelectorAll("[id]")].map((found) => found.id);
    return [
      ...controls.filter((found) => found.checkVisibility() && !named(found)).map((found) => found.outerHTML),
      ...[...pictures, ...drawings].map((found) => found.outerHTML),
      ...ids.filter((id, at) => ids.indexOf(id) !== at),
    ];
  });
}

async function runScenario(browser, name, scenario) {
  let timer;
  const late = new Promise((_, reject) => {
    const error = new Error(`not finished within ${SCENARIO_MILLISECONDS / 1000} s`);
    timer = setTimeout(() => reject(error), SCENARIO_MILLISECONDS);
  });
  try {
    await Promise.race([scenario(browser), late]);
    console.log(`PASS browser: ${name}`);
    return true;
  } catch (error) {
    console.log(`FAIL browser: ${name}: ${error.message}`);
    await takePictures(browser, name);
    return false;
  } finally {
    clearTimeout(timer);
    await Promise.all(browser.contexts().map((context) => context.close()));
  }
}

async function takePictures(browser, name) {
  const pages = browser.contexts().flatMap((context) => context.pages());
  for (const [at, page] of pages.entries()) {
    const path = join(screenshots, `${name.replace(/\W+/g, "-")}-${at}.png`);
    await page.screenshot({ path, timeout: STEP_MILLISECONDS }).then(
      () => console.log(`  picture: ${path}`),
      (error) => console.log(`  no picture: ${error.message}`),
    );
  }
}

const browser = await chromium.launch({ executablePath, args: MICROPHONE_FLAGS });
let passed = 0;
try {
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (await runScenario(browser, name, scenario)) passed += 1;
  }
} finally {
  await browser.close();
}
const failed = Object.keys(scenarios).length - passed;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
