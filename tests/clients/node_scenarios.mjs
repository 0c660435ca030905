// The chat and the echo endpoints as the `ws` library of Node sees them.
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import WebSocket from "ws";

const SCENARIO_MILLISECONDS = 20_000;
const MESSAGE_BYTES_MAX = 64 * 1024;
const MEMBER_COUNT = 5;
const MESSAGES_EACH = 40;

const base = process.argv[2];
const opened = new Set();

/** A socket whose frames and close can be awaited in order. */
class Socket {
  constructor(url) {
    this.frames = [];
    this.waiting = [];
    this.socket = new WebSocket(url, { maxPayload: 0 });
    opened.add(this.socket);
    this.open = new Promise((resolve, reject) => {
      this.socket.once("open", resolve);
      this.socket.once("error", reject);
    });
    this.closed = new Promise((resolve) => {
      this.socket.once("close", (code, reason) => resolve({ code, reason: String(reason) }));
    });
    this.socket.on("message", (data, binary) => {
      const frame = binary ? data : String(data);
      const next = this.waiting.shift();
      if (next) next(frame);
      else this.frames.push(frame);
    });
  }

  receive() {
    if (this.frames.length > 0) return Promise.resolve(this.frames.shift());
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  pong() {
    return new Promise((resolve) => this.socket.once("pong", resolve));
  }
}

function chatUrl(query) {
  return `${base}/ws/chat?${new URLSearchParams(query)}`;
}

/** One session in a room, after it has seen its own JOIN. */
class Member extends Socket {
  static async enter(roomId, username, query = {}) {
    const member = new Member(chatUrl({ roomId, username, ...query }));
    member.username = username;
    await member.open;
    member.beforeJoin = [];
    for (;;) {
      const message = await member.message();
      if (message.type === "JOIN" && message.content === `${username} joined`) {
        member.joined = message;
        return member;
      }
      member.beforeJoin.push(message);
    }
  }

  async message() {
    for (;;) {
      const frame = await this.receive();
      if (frame !== "HEARTBEAT") return JSON.parse(frame);
    }
  }

  async messages(count) {
    const got = [];
    while (got.length < count) got.push(await this.message());
    return got;
  }

  say(content, fields = {}) {
    this.socket.send(JSON.stringify({ content, ...fields }));
  }

  async leave(code = 1000) {
    this.socket.close(code);
    await this.closed;
  }
}

function unique(prefix) {
  return `${prefix}-${randomUUID()}`;
}

function assertDense(messages) {
  for (let at = 1; at < messages.length; at += 1) {
    assert.equal(messages[at].seq, messages[at - 1].seq + 1, "seq has a hole");
    assert.ok(messages[at].timestamp > messages[at - 1].timestamp, "a timestamp does not grow");
  }
}

const scenarios = {
  async "all members see one order"() {
    const room = unique("order");
    const members = [];
    for (let number = 0; number < MEMBER_COUNT; number += 1) members.push(await Member.enter(room, `member ${number}`));
    for (const [number, member] of members.entries()) {
      const later = await member.messages(MEMBER_COUNT - 1 - number);
      assert.deepEqual(
        later,
        members.slice(number + 1).map((other) => other.joined),
        "a JOIN is not the same for everyone",
      );
    }
    for (let count = 0; count < MESSAGES_EACH; count += 1) {
      for (const member of members) member.say(`${count}`, { id: `${member.username}/${count}` });
    }
    const logs = await Promise.all(members.map((member) => member.messages(MEMBER_COUNT * MESSAGES_EACH)));
    for (const log of logs) assert.deepEqual(log, logs[0], "members saw different logs");
    assertDense(logs[0]);
    for (const { username } of members) {
      const own = logs[0].filter((message) => message.sender === username);
      assert.deepEqual(
        own.map((message) => message.clientId),
        Array.from({ length: MESSAGES_EACH }, (_, count) => `${username}/${count}`),
      );
    }
    await members[0].leave();
    for (const member of members.slice(1)) {
      const notice = await member.message();
      assert.deepEqual([notice.type, notice.sender, notice.content], ["LEAVE", "SYSTEM", "member 0 left"]);
    }
  },

  async "heartbeat text is swallowed"() {
    const ann = await Member.enter(unique("heartbeat"), "Ann");
    ann.socket.send("HEARTBEAT");
    ann.say("after it");
    assert.equal((await ann.message()).content, "after it");
  },

  async "bad messages are answered to the sender alone"() {
    const room = unique("bad");
    const ann = await Member.enter(room, "Ann");
    const bob = await Member.enter(room, "Bob");
    await ann.message();
    for (const text of ["{", "[]", "null", "{}", '{"content":7}', ""]) {
      bob.socket.send(text);
      const error = await bob.message();
      assert.deepEqual([error.type, error.code], ["ERROR", "bad_message"], JSON.stringify(text));
    }
    bob.say("still here");
    assert.equal((await bob.message()).content, "still here");
    assert.equal((await ann.message()).content, "still here");
  },

  async "binary in chat closes with 1003"() {
    const ann = await Member.enter(unique("binary"), "Ann");
    ann.socket.send(Buffer.from([0, 1]));
    assert.equal((await ann.closed).code, 1003);
  },

  async "a missing name or room closes with 1008"() {
    for (const query of [{ roomId: "r" }, { username: "u" }, {}, { roomId: "", username: "u" }]) {
      const { code, reason } = await new Socket(chatUrl(query)).closed;
      assert.equal(code, 1008, JSON.stringify(query));
      assert.notEqual(reason, "", "no reason given");
    }
  },

  async "unicode passes unchanged"() {
    const room = unique("Küche ☕ & 100 %+");
    const zoe = await Member.enter(room, "Zoë 🦊");
    assert.equal(zoe.joined.roomId, room);
    for (const text of ["naïve", "日本語", "👩‍👩‍👧‍👦", "שלום עולם", "\u0000 \u2028 \uffff", '"\\/\b\f\n\r\t', "<b>&amp;</b>"]) {
      zoe.say(text);
      const got = await zoe.message();
      assert.deepEqual([got.content, got.sender], [text, "Zoë 🦊"]);
    }
  },

  async "a fragmented message with pings between arrives whole"() {
    const ann = await Member.enter(unique("fragments"), "Ann");
    for (const part of ['{"con', 'tent":"cut ', "in 🧩 ", ""]) {
      ann.socket.send(part, { fin: false });
      const pong = ann.pong();
      ann.socket.ping(part);
      assert.equal(String(await pong), part);
    }
    ann.socket.send('pieces"}', { fin: true });
    assert.equal((await ann.message()).content, "cut in 🧩 pieces");
  },

  async "the largest message passes and one byte more closes with 1009"() {
    const ann = await Member.enter(unique("limit"), "Ann");
    const largest = "x".repeat(MESSAGE_BYTES_MAX - '{"content":""}'.length);
    ann.say(largest);
    assert.equal((await ann.message()).content, largest);
    ann.say(`${largest}x`);
    assert.equal((await ann.closed).code, 1009);
  },

  async "fragments that add up to more than the limit close with 1009"() {
    const ann = await Member.enter(unique("sum"), "Ann");
    const half = "x".repeat(MESSAGE_BYTES_MAX / 2);
    ann.socket.send(half, { fin: false });
    ann.socket.send(half, { fin: false });
    ann.socket.send("x", { fin: true });
    assert.equal((await ann.closed).code, 1009);
  },

  async "a position recovers exactly what was missed"() {
    const room = unique("recovery");
    const ann = await Member.enter(room, "Ann");
    const before = await Member.enter(room, "Bob", { hello: 1 });
    const [welcome] = before.beforeJoin;
    assert.deepEqual([welcome.type, welcome.username, welcome.roomId], ["WELCOME", "Bob", room]);
    before.socket.terminate();
    let last;
    do last = await ann.message();
    while (last.type !== "LEAVE");
    for (let count = 0; count < 20; count += 1) ann.say(`missed ${count}`);
    await ann.messages(20);
    const after = await Member.enter(room, "Bob", { hello: 1, sinceSeq: before.joined.seq, epoch: welcome.epoch });
    assert.equal(after.beforeJoin[0].type, "WELCOME");
    const missed = after.beforeJoin.slice(1);
    assert.equal(missed.length, 21, "not exactly what was missed");
    assertDense([before.joined, ...missed, after.joined]);
  },

  async "echo returns a mebibyte verbatim"() {
    const echo = new Socket(`${base}/echo`);
    await echo.open;
    for (const payload of [randomBytes(1 << 20), Buffer.alloc(0), "", "text ✓", "ä".repeat(65_536)]) {
      echo.socket.send(payload);
      assert.deepEqual(await echo.receive(), payload);
    }
  },

  async "the closing handshake echoes the code"() {
    for (const code of [1000, 1001, 3000, 4999]) {
      const echo = new Socket(`${base}/echo`);
      await echo.open;
      echo.socket.close(code, "bye");
      assert.equal((await echo.closed).code, code);
    }
  },
};

async function withDeadline(scenario) {
  let timer;
  const deadline = new Promise((_, reject) => {
    const late = new Error(`not finished within ${SCENARIO_MILLISECONDS / 1000} s`);
    timer = setTimeout(() => reject(late), SCENARIO_MILLISECONDS);
  });
  try {
    await Promise.race([scenario(), deadline]);
  } finally {
    clearTimeout(timer);
    for (const socket of opened) socket.terminate();
    opened.clear();
  }
}

for (const [name, scenario] of Object.entries(scenarios)) {
  try {
    await withDeadline(scenario);
    console.log(`PASS node ws: ${name}`);
  } catch (error) {
    process.exitCode = 1;
    console.log(`FAIL node ws: ${name}: ${error.message.replaceAll("\n", " ")}`);
  }
}
