// The page's connection without a browser: a socket that the test plays, and time that it moves.
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { RoomConnection } from "../../src/web/assets/connection.js";

/** The server's side of every socket that was opened, newest last. */
let sockets = [];

class FakeSocket {
  static OPEN = 1;
  readyState = 0;
  sent = [];

  constructor(address) {
    this.query = Object.fromEntries(new URL(address).searchParams);
    sockets.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  open() {
    this.readyState = 1;
    this.onopen?.({});
  }

  says(message) {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }

  welcomes(seq, epoch = "one") {
    this.says({ type: "WELCOME", roomId: "R", sessionId: "s", username: "Ann", epoch, seq, online: 1 });
  }

  stores(seq, more = {}) {
    this.says({ type: "MESSAGE", id: String(seq), sender: "Bob", content: `m${seq}`, timestamp: "2026-01-31T12:00:00.000000Z", seq, ...more });
  }

  ends(code, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  /** The contents that were published over it, without probes. */
  get published() {
    return this.sent.filter(({ content }) => content !== undefined).map(({ content }) => content);
  }
}

function enter(options = {}) {
  const connection = new RoomConnection({ url: "ws://h/ws/chat", roomId: "R", username: "Ann", history: 50, ...options });
  const seen = { messages: [], gaps: [], failures: [], problems: [], states: [] };
  connection.addEventListener("message", ({ detail }) => seen.messages.push(detail.message.seq));
  connection.addEventListener("gap", ({ detail }) => seen.gaps.push(detail));
  connection.addEventListener("failure", ({ detail }) => seen.failures.push(detail));
  connection.addEventListener("problem", ({ detail }) => seen.problems.push(detail));
  connection.addEventListener("state", ({ detail }) => seen.states.push(detail.name));
  connection.start();
  return { connection, seen };
}

function latest() {
  return sockets.at(-1);
}

/** Loses the line and lets the wait for the next attempt pass. */
function reconnect(code = 1006) {
  const before = sockets.length;
  latest().ends(code);
  mock.timers.tick(20_000);
  assert.equal(sockets.length, before + 1, "no further attempt");
  latest().open();
  return latest();
}

beforeEach(() => {
  sockets = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  globalThis.WebSocket = FakeSocket;
});

test("it is open from WELCOME on, not before a token was accepted", () => {
  const { seen } = enter({ token: () => "a.b.c" });
  latest().open();
  assert.deepEqual(latest().sent, [{ type: "AUTH", token: "a.b.c" }]);
  assert.deepEqual(seen.states, ["connecting"]);
  latest().welcomes(0);
  assert.deepEqual(seen.states, ["connecting", "open"]);
});

test("a message is sent again only after the replay has reached WELCOME's seq", () => {
  const { connection } = enter();
  latest().open();
  latest().welcomes(0);
  connection.publish("mine");
  assert.deepEqual(latest().published, ["mine"]);
  const [{ id }] = latest().sent;
  const second = reconnect();
  second.welcomes(3);
  mock.timers.tick(8_000);
  assert.deepEqual(second.published, [], "sent again while the replay was under way");
  second.stores(1);
  second.stores(2, { clientId: id });
  second.stores(3);
  mock.timers.tick(8_000);
  assert.deepEqual(second.published, [], "sent again although the replay has shown it");

  connection.publish("other");
  const third = reconnect();
  third.welcomes(4);
  third.stores(4);
  assert.deepEqual(third.published, ["other"], "not sent again after the replay");
});

test("what was never sent waits for no replay, and keeps its order behind what waits", () => {
  const { connection } = enter();
  latest().open();
  latest().welcomes(0);
  connection.publish("one");
  const second = reconnect();
  second.welcomes(2);
  connection.publish("two");
  assert.deepEqual(second.published, []);
  second.stores(1);
  second.stores(2);
  assert.deepEqual(second.published, ["one", "two"]);
});

test("a position is kept from WELCOME on", () => {
  enter();
  latest().open();
  latest().welcomes(7);
  const second = reconnect();
  assert.equal(second.query.sinceSeq, "0");
  assert.equal(second.query.epoch, "one");
  second.welcomes(107);
  for (let seq = 1; seq <= 107; seq += 1) second.stores(seq);
  assert.equal(reconnect().query.sinceSeq, "107");
});

test("a position far from the beginning reaches back as far as the history asked for", () => {
  enter();
  latest().open();
  latest().welcomes(200);
  assert.equal(reconnect().query.sinceSeq, "150");
});

test("a server that accepts and says nothing is given up", () => {
  const { seen } = enter();
  latest().open();
  // A server that asks for a token says so after 10 s.
  mock.timers.tick(12_000);
  assert.equal(seen.states.at(-1), "connecting");
  mock.timers.tick(3_000);
  assert.equal(seen.states.at(-1), "waiting");
});

test("a line that dies before the first heart-beat is noticed", () => {
  const { seen } = enter();
  latest().open();
  latest().welcomes(0);
  mock.timers.tick(40_000);
  assert.deepEqual(latest().sent, [{ id: "probe" }]);
  mock.timers.tick(5_000);
  assert.equal(seen.states.at(-1), "waiting");
});

test("an answer to a probe keeps the line and is shown to nobody", () => {
  const { seen } = enter();
  latest().open();
  latest().welcomes(0);
  for (let round = 0; round < 5; round += 1) {
    mock.timers.tick(40_000);
    latest().says({ type: "ERROR", code: "bad_message", clientId: "probe", content: "no content" });
    mock.timers.tick(5_000);
  }
  assert.equal(sockets.length, 1);
  assert.deepEqual(seen.problems, []);
});

test("coming online asks at once whether the line lives, or connects", () => {
  const { connection, seen } = enter();
  latest().open();
  latest().welcomes(0);
  connection.retry();
  mock.timers.tick(5_000);
  assert.equal(seen.states.at(-1), "waiting");
  connection.retry();
  assert.equal(seen.states.at(-1), "connecting");
});

test("what the server refuses for good is not sent again, and others not because of it", () => {
  const { connection, seen } = enter();
  latest().open();
  latest().welcomes(0);
  for (const content of ["bad", "good", "later"]) connection.publish(content);
  const ids = latest().sent.map(({ id }) => id);
  latest().says({ type: "ERROR", code: "refused", clientId: ids[0], content: "not here" });
  assert.deepEqual(seen.failures.map(({ reason, words }) => [reason, words]), [["refused", "not here"]]);
  latest().says({ type: "ERROR", code: "rate_limited", clientId: ids[2], content: "slowly", retryAfter: 700 });
  mock.timers.tick(699);
  assert.deepEqual(latest().published, ["bad", "good", "later"]);
  mock.timers.tick(1);
  assert.deepEqual(latest().published, ["bad", "good", "later", "later"]);
  latest().says({ type: "ERROR", code: "bad_message", content: "about nothing of this member" });
  mock.timers.tick(5_000);
  assert.equal(latest().published.length, 4);
  assert.equal(seen.problems.length, 1);
});

test("after 1009 the longest frame in bytes that was sent is given up", () => {
  const { connection, seen } = enter();
  latest().open();
  latest().welcomes(0);
  connection.publish("a".repeat(150));
  connection.publish("霧".repeat(100));
  latest().ends(1009);
  assert.deepEqual(seen.failures.map(({ reason, content }) => [reason, content[0]]), [["too-big", "霧"]]);
  assert.equal(seen.states.at(-1), "waiting");
  // Offline: what was not sent is not what was too long.
  connection.publish("b".repeat(1_000));
  mock.timers.tick(20_000);
  latest().open();
  latest().welcomes(0);
  assert.deepEqual(latest().published, ["a".repeat(150), "b".repeat(1_000)]);
});

test("1009 with nothing sent is the end", () => {
  const { seen } = enter();
  latest().open();
  latest().welcomes(0);
  latest().ends(1009);
  assert.equal(seen.states.at(-1), "ended");
});

test("which codes are final", () => {
  for (const code of [1000, 1002, 1003, 1007, 1008, 4001, 4403, 4999]) {
    const { seen } = enter();
    latest().open();
    latest().ends(code);
    assert.equal(seen.states.at(-1), "ended", `after ${code}`);
  }
  for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 4008]) {
    const { seen } = enter();
    latest().open();
    latest().ends(code);
    assert.equal(seen.states.at(-1), "waiting", `after ${code}`);
  }
});

test("4401 is tried once with the token of the moment, again only after a WELCOME", () => {
  let count = 0;
  const { seen } = enter({ token: () => `token ${(count += 1)}` });
  latest().open();
  latest().ends(4401);
  assert.equal(seen.states.at(-1), "waiting");
  mock.timers.tick(20_000);
  latest().open();
  assert.match(latest().sent[0].token, /token [2-9]/);
  latest().welcomes(0);
  reconnect(4401);
  latest().ends(4401);
  assert.equal(seen.states.at(-1), "ended");
  const other = enter({ token: () => null });
  latest().open();
  latest().ends(4401);
  assert.equal(other.seen.states.at(-1), "ended", "without a token there is nothing to try");
});

test("an ACK ends the sending of a message that was stored before", () => {
  const { connection } = enter();
  const stored = [];
  connection.addEventListener("stored", ({ detail }) => stored.push(detail.id));
  latest().open();
  latest().welcomes(0);
  const id = connection.publish("mine");
  latest().says({ type: "ACK", clientId: id, id: "x", seq: 1, storedAt: "2026-01-31T12:00:00.000000Z" });
  assert.deepEqual(stored, [id]);
  const second = reconnect();
  second.welcomes(0);
  assert.deepEqual(second.published, []);
});

test("a gap between two messages is told, and each message is handed out once", () => {
  const { seen } = enter();
  latest().open();
  latest().welcomes(0);
  for (const seq of [1, 2, 2, 5, 4, 6]) latest().stores(seq);
  assert.deepEqual(seen.messages, [1, 2, 5, 6]);
  assert.deepEqual(seen.gaps, [{ from: 3, to: 4 }]);
});

test("a new epoch is a gap, and the position is one of the new epoch", () => {
  const { seen } = enter();
  latest().open();
  latest().welcomes(5);
  latest().stores(6);
  const second = reconnect();
  second.welcomes(2, "two");
  // The line is lost before the GAP has come.
  const third = reconnect();
  assert.deepEqual([third.query.sinceSeq, third.query.epoch], ["2", "two"]);
  third.welcomes(3, "two");
  third.stores(3);
  assert.deepEqual(seen.gaps, [{ from: null, to: null }]);
  assert.equal(seen.messages.at(-1), 3);
});
