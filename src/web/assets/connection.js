/**
 * A member of one room that survives interruptions.
 *
 * A room is a numbered log and a member is a position in it. After a lost connection the member asks for everything
 * behind its position, so each stored message is handed out exactly once and in order, or a gap says what is missing.
 * What was published and not yet seen to come back is sent again under the same id, which the room stores only once.
 */

const RETRY_FIRST = 500;
const RETRY_LAST = 30_000;
/** A connection that held this long was a good one: the next loss starts again with short waits. */
const STABLE_AFTER = 5_000;
/** The longest wait for the end of the replay before new messages are sent anyway. */
const REPLAY_WAIT = 2_000;
/** How long a published message may stay unacknowledged before the connection counts as dead. */
const ACKNOWLEDGE_WAIT = 15_000;
/** Silence after the first heart-beat (they come every 25 s) that counts as a dead connection. */
const SILENCE_WAIT = 65_000;
/** The room recognises a repeated id for two minutes; this leaves a margin. */
const REPEATABLE_FOR = 110_000;
const RESEND_AFTER_ERROR = 2_000;
/** The most that one request may ask for. */
const ROOM_PAGE_COUNT = 1_000;
const ROOM_PAGES_MAX = 10;

const CLOSE_NORMAL = 1000;
const CLOSE_TOO_BIG = 1009;
/** After these codes another attempt would end the same way: deleted room, not text, refused name, kicked, not authorised. */
const CLOSE_FINAL = new Set([CLOSE_NORMAL, 1003, 1008, 4001, 4401]);

/**
 * States: `connecting`, `open`, `waiting` (with `retryAt`, milliseconds since 1970) and `ended` (with `code`, `reason`).
 *
 * Events, each a `CustomEvent` whose `detail` is:
 * - `state`: the state, as `{name, …}`
 * - `welcome`: the room's WELCOME
 * - `caughtup`: nothing; the replay of earlier messages is complete
 * - `message`: `{message, live}`; a stored message, `live` unless it is older than this connection
 * - `gap`: `{from, to}`; messages that cannot be had any more, bounds included (null: unknown)
 * - `problem`: the room's ERROR
 * - `failure`: `{id, content, reason}`; a published message that is given up: `too-big` or `unconfirmed`
 */
export class RoomConnection extends EventTarget {
  #endpoint;
  #history;
  #token;
  #socket = null;
  #state = { name: "connecting" };
  #attempt = 0;
  #timers = new Map();
  #epoch = null;
  #seq = null;
  #head = 0;
  #caughtUp = false;
  #lossy = false;
  #owesGap = false;
  #pending = new Map();

  /**
   * `url` is the chat endpoint (`ws:` or `wss:`); `history` is how many earlier messages to start with; `token` says the
   * token of the moment for a server that asks for one, or nothing. With a token `username` need not be given.
   */
  constructor({ url, roomId, username, history = 0, token = () => null }) {
    super();
    this.roomId = roomId;
    this.username = username;
    this.#endpoint = url;
    this.#history = history;
    this.#token = token;
  }

  get state() {
    return this.#state;
  }

  /** Begins to connect, and keeps at it until `stop` or a close that another attempt cannot mend. */
  start() {
    this.#connect();
  }

  /** Tries again now instead of when the wait is over. */
  retry() {
    if (this.#state.name === "waiting") this.#connect();
  }

  /** Leaves the room. */
  stop() {
    this.#release()?.close(CLOSE_NORMAL);
    this.#enter({ name: "ended", code: CLOSE_NORMAL, reason: "" });
  }

  /** Presents the token of the moment again, so that the server does not end the session when the last one expires. */
  renew() {
    const token = this.#token();
    if (token && this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ type: "AUTH", token }));
    }
  }

  /** Publishes a text and returns its id; the stored message carries that id as `clientId`. */
  publish(content) {
    const id = randomId();
    this.#pending.set(id, { content, socket: null, firstSentAt: null, sentAt: null });
    this.#flush();
    return id;
  }

  #connect() {
    this.#release();
    this.#enter({ name: "connecting" });
    this.#caughtUp = false;
    this.#lossy = false;
    const socket = new WebSocket(this.#address());
    this.#socket = socket;
    const mine = (act) => (event) => {
      if (this.#socket === socket) act(event);
    };
    socket.onopen = mine(() => {
      this.renew();
      this.#enter({ name: "open" });
      this.#after("stable", STABLE_AFTER, () => (this.#attempt = 0));
      this.#after("replay", REPLAY_WAIT, () => this.#catchUp());
    });
    socket.onmessage = mine((event) => this.#receive(event.data));
    socket.onclose = mine((event) => this.#lost(event.code, event.reason));
  }

  #address() {
    const address = new URL(this.#endpoint);
    const query = address.searchParams;
    query.set("roomId", this.roomId);
    if (this.username) query.set("username", this.username);
    query.set("hello", "1");
    if (this.#seq !== null) {
      query.set("sinceSeq", this.#seq);
      if (this.#epoch !== null) query.set("epoch", this.#epoch);
    } else if (this.#history > 0) {
      query.set("history", this.#history);
    }
    return address;
  }

  #receive(data) {
    if (this.#timers.has("silence") || data === "HEARTBEAT") {
      this.#after("silence", SILENCE_WAIT, () => this.#abandon());
    }
    const message = parse(data);
    switch (message?.type) {
      case undefined:
        return;
      case "WELCOME":
        return this.#welcome(message);
      case "GAP":
        return this.#gap(message);
      case "ERROR":
        return this.#problem(message);
      default:
        if (Number.isSafeInteger(message.seq)) this.#accept(message);
    }
  }

  #welcome(welcome) {
    if (this.#epoch !== null && this.#epoch !== welcome.epoch) {
      // The log behind the old position is lost. A GAP should say so; if none comes, the next message does.
      this.#seq = null;
      this.#owesGap = true;
    }
    this.#epoch = welcome.epoch;
    this.#head = welcome.seq;
    this.#emit("welcome", welcome);
    if (this.#seq !== null && this.#seq >= this.#head) this.#catchUp();
  }

  #gap({ from, to, epoch }) {
    this.#epoch = epoch ?? this.#epoch;
    this.#seq = to;
    this.#lossy = true;
    this.#owesGap = false;
    this.#emit("gap", { from, to });
    if (to >= this.#head) this.#catchUp();
  }

  #problem(problem) {
    this.#emit("problem", problem);
    if (this.#pending.size === 0) return;
    this.#after("resend", RESEND_AFTER_ERROR, () => {
      for (const entry of this.#pending.values()) entry.socket = null;
      this.#flush();
    });
  }

  #accept(message) {
    if (this.#seq !== null && message.seq <= this.#seq) return;
    if (this.#owesGap) {
      this.#owesGap = false;
      this.#lossy = true;
      this.#emit("gap", { from: null, to: null });
    } else if (this.#seq !== null && message.seq > this.#seq + 1) {
      this.#emit("gap", { from: this.#seq + 1, to: message.seq - 1 });
    }
    this.#seq = message.seq;
    if (message.clientId !== undefined) this.#pending.delete(message.clientId);
    this.#emit("message", { message, live: message.seq > this.#head });
    if (message.seq >= this.#head) this.#catchUp();
  }

  #catchUp() {
    if (this.#caughtUp) return;
    this.#caughtUp = true;
    this.#cancel("replay");
    // What the replay showed is no longer pending. Behind a gap, and later than the room remembers ids, nobody can tell.
    const now = Date.now();
    for (const [id, entry] of this.#pending) {
      const lateForRepeat = entry.firstSentAt !== null && now - entry.firstSentAt > REPEATABLE_FOR;
      if (this.#lossy && lateForRepeat) this.#fail(id, "unconfirmed");
    }
    this.#emit("caughtup");
    this.#flush();
  }

  #flush() {
    if (!this.#caughtUp || this.#socket?.readyState !== WebSocket.OPEN) return;
    const now = Date.now();
    for (const [id, entry] of this.#pending) {
      if (entry.socket === this.#socket) continue;
      entry.socket = this.#socket;
      entry.sentAt = now;
      entry.firstSentAt ??= now;
      this.#socket.send(JSON.stringify({ id, content: entry.content }));
    }
    this.#expectAcknowledgement();
  }

  #expectAcknowledgement() {
    const [oldest] = this.#pending.values();
    if (oldest === undefined) return;
    const left = Math.max(oldest.sentAt + ACKNOWLEDGE_WAIT - Date.now(), 0);
    this.#after("acknowledge", left, () => {
      const [first] = this.#pending.values();
      if (first === oldest && Date.now() - oldest.sentAt >= ACKNOWLEDGE_WAIT) this.#abandon();
      else this.#expectAcknowledgement();
    });
  }

  #fail(id, reason) {
    const { content } = this.#pending.get(id);
    this.#pending.delete(id);
    this.#emit("failure", { id, content, reason });
  }

  /** Gives up on a connection that seems dead, without waiting for its closing handshake. */
  #abandon() {
    this.#release()?.close();
    this.#wait();
  }

  #lost(code, reason) {
    this.#release();
    if (code === CLOSE_TOO_BIG) this.#failLargest();
    if (CLOSE_FINAL.has(code)) this.#enter({ name: "ended", code, reason });
    else this.#wait();
  }

  /** Sent again, the message that was too big would end every further connection. */
  #failLargest() {
    const bySize = [...this.#pending].sort(([, a], [, b]) => b.content.length - a.content.length);
    if (bySize.length > 0) this.#fail(bySize[0][0], "too-big");
  }

  #wait() {
    const ceiling = Math.min(RETRY_LAST, RETRY_FIRST * 2 ** this.#attempt);
    this.#attempt += 1;
    // Half of it at random: clients that lost the same server do not come back at the same moment.
    const delay = ceiling / 2 + (Math.random() * ceiling) / 2;
    this.#after("retry", delay, () => this.#connect());
    this.#enter({ name: "waiting", retryAt: Date.now() + delay });
  }

  /** Lets go of the socket: nothing that it does counts any more. */
  #release() {
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    const socket = this.#socket;
    this.#socket = null;
    return socket;
  }

  #enter(state) {
    this.#state = state;
    this.#emit("state", state);
  }

  #after(name, delay, act) {
    this.#cancel(name);
    const timer = setTimeout(() => {
      this.#timers.delete(name);
      act();
    }, delay);
    this.#timers.set(name, timer);
  }

  #cancel(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** What a server offers besides the WebSocket. Every promise rejects if there is no answer or a refusal. */
export class RoomServer {
  #base;
  #token;

  /** `base` is the address under which `api/` is found; `token` says the token of the moment, or nothing. */
  constructor(base, token = () => null) {
    this.#base = base;
    this.#token = token;
  }

  /** Rooms, newest first, from a list that the server keeps oldest first: reads it to its end, but not forever. */
  async rooms() {
    const rooms = [];
    for (let page = 0; page < ROOM_PAGES_MAX; page += 1) {
      const query = new URLSearchParams({ limit: ROOM_PAGE_COUNT });
      if (rooms.length > 0) query.set("after", rooms.at(-1).id);
      const { body } = await this.#ask(`?${query}`);
      rooms.push(...body);
      if (body.length < ROOM_PAGE_COUNT) break;
    }
    return rooms.reverse();
  }

  async create(name, createdBy) {
    const headers = { "Content-Type": "application/json" };
    const { body } = await this.#ask("", { method: "POST", headers, body: JSON.stringify({ name, createdBy }) });
    return body;
  }

  async room(roomId) {
    return (await this.#ask(`/${encodeURIComponent(roomId)}`)).body;
  }

  /** The names of the users in a room. */
  async online(roomId) {
    return (await this.#ask(`/${encodeURIComponent(roomId)}/online`)).body.users;
  }

  /** Stored messages with a number below `before`, oldest first, and the epoch in which their numbers hold. */
  async earlier(roomId, before, count) {
    const query = new URLSearchParams({ before, limit: count });
    const { body, headers } = await this.#ask(`/${encodeURIComponent(roomId)}/messages?${query}`);
    const [epoch] = (headers.get("Foghorn-Position") ?? "").split(":");
    return { epoch, messages: body.reverse() };
  }

  async #ask(path, options = {}) {
    const token = this.#token();
    const headers = token ? { ...options.headers, Authorization: `Bearer ${token}` } : options.headers;
    const answer = await fetch(new URL(`api/chat/rooms${path}`, this.#base), { ...options, headers });
    if (answer.ok) return { body: await answer.json(), headers: answer.headers };
    const problem = parse(await answer.text());
    throw new Refusal(answer.status, problem?.detail ?? problem?.title ?? `status ${answer.status}`);
  }
}

/** The user whom a token names, unchecked; null if it is not a token. */
export function userOf(token) {
  const [, claims] = token.split(".");
  try {
    const bytes = Uint8Array.from(atob(claims.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof sub === "string" ? sub : null;
  } catch {
    return null;
  }
}

/** The server understood and said no; the message says why. */
export class Refusal extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

/** `crypto.randomUUID` exists only in secure contexts; a page on a local network is none. */
function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
