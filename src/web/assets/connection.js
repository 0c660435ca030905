/**
 * A member of one room that survives interruptions.
 *
 * A room is a numbered log and a member is a position in it. After a lost connection the member asks for everything
 * behind its position, so each stored message is handed out exactly once and in order, or a gap says what is missing.
 * What was published and not yet seen to come back is sent again under the same id, which the room stores only once.
 */

const RETRY_FIRST = 500;
const RETRY_LAST = 20_000;
/** A connection that held this long was a good one: the next loss starts again with short waits. */
const STABLE_AFTER = 10_000;
/**
 * From the attempt to connect to WELCOME. A server that was reached and does not answer counts as none; one that waits
 * for a token says so after 10 s.
 */
const WELCOME_WAIT = 15_000;
/** With history asked for and none there, the end of the replay cannot be told from the log: it is taken to be over. */
const HISTORY_WAIT = 2_000;
/** How long a published message may stay unacknowledged before the connection counts as dead. */
const ACKNOWLEDGE_WAIT = 15_000;
/** Silence after which the server is probed. Its heart-beats come every 25 s, or never if they are switched off. */
const SILENCE_WAIT = 40_000;
/** What a probe has to be answered in. */
const PROBE_WAIT = 5_000;
/** The room recognises a repeated id for two minutes; this leaves a margin. */
const REPEATABLE_FOR = 110_000;
/** Before a message is sent again that the room could not take, if the room does not say when. */
const RESEND_AFTER = 2_000;
/** The most that one request may ask for. */
const ROOM_PAGE_COUNT = 1_000;
const ROOM_PAGES_MAX = 10;

const CLOSE_NORMAL = 1000;
const CLOSE_TOO_BIG = 1009;
const CLOSE_TOO_SLOW = 4008;
const CLOSE_UNAUTHENTICATED = 4401;
/** After these codes another attempt would end the same way: deleted room, broken frame, not text, refused name. */
const CLOSE_FINAL = new Set([CLOSE_NORMAL, 1002, 1003, 1007, 1008]);
/** ERRORs about a message that it may be sent again after; after any other it would be refused again. */
const ERROR_PASSING = new Set(["unavailable", "rate_limited", "busy"]);

/** The id of a probe; no message has it, for theirs are random. */
const PROBE = "probe";

/**
 * States: `connecting`, `open` (from the room's WELCOME on), `waiting` (with `retryAt`, milliseconds since 1970) and
 * `ended` (with `code`, `reason`).
 *
 * Events, each a `CustomEvent` whose `detail` is:
 * - `state`: the state, as `{name, …}`
 * - `welcome`: the room's WELCOME
 * - `caughtup`: nothing; the replay of earlier messages is complete
 * - `message`: `{message, live}`; a stored message, `live` unless it is older than this connection
 * - `gap`: `{from, to}`; messages that cannot be had any more, bounds included (null: unknown)
 * - `problem`: an ERROR of the room that is about no message of this member
 * - `stored`: `{id}`; a published message was stored before, so that it need not come again
 * - `failure`: `{id, content, reason, words}`; a published message that is given up: `too-big`, `unconfirmed`, or
 *   `refused`, with the words of the server
 */
export class RoomConnection extends EventTarget {
  #endpoint;
  #history;
  #token;
  #idPrefix;
  #socket = null;
  #state = { name: "connecting" };
  #attempt = 0;
  #timers = new Map();
  #epoch = null;
  /** The last message handed out. */
  #seq = null;
  /** Where to go on from as long as none was handed out. */
  #floor = null;
  #head = 0;
  #welcomed = false;
  #caughtUp = false;
  #lossy = false;
  #owesGap = false;
  #tokenRetried = false;
  #pending = new Map();

  /**
   * `url` is the chat endpoint (`ws:` or `wss:`); `history` is how many earlier messages to start with; `token` says the
   * token of the moment for a server that asks for one, or nothing. With a token `username` need not be given.
   * `idPrefix` begins the ids of all messages published here.
   */
  constructor({ url, roomId, username, history = 0, token = () => null, idPrefix = "" }) {
    super();
    this.roomId = roomId;
    this.username = username;
    this.#endpoint = url;
    this.#history = history;
    this.#token = token;
    this.#idPrefix = idPrefix;
  }

  get state() {
    return this.#state;
  }

  /** Begins to connect, and keeps at it until `stop` or a close that another attempt cannot mend. */
  start() {
    this.#connect();
  }

  /** Tries again now instead of when the wait is over, or asks whether the connection that is there still lives. */
  retry() {
    if (this.#state.name === "waiting") this.#connect();
    else if (this.#welcomed) this.#probe();
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
    const id = this.#idPrefix + randomId();
    const frame = JSON.stringify({ id, content });
    this.#pending.set(id, { content, frame, socket: null, firstSentAt: null, sentAt: null, resendAt: null });
    this.#flush();
    return id;
  }

  #connect() {
    this.#release();
    this.#enter({ name: "connecting" });
    this.#welcomed = false;
    this.#caughtUp = false;
    this.#lossy = false;
    const socket = new WebSocket(this.#address());
    this.#socket = socket;
    this.#after("welcome", WELCOME_WAIT, () => this.#abandon());
    const mine = (act) => (event) => {
      if (this.#socket === socket) act(event);
    };
    socket.onopen = mine(() => this.renew());
    socket.onmessage = mine((event) => this.#receive(event.data));
    socket.onclose = mine((event) => this.#lost(event.code, event.reason));
  }

  #address() {
    const address = new URL(this.#endpoint);
    const query = address.searchParams;
    query.set("roomId", this.roomId);
    if (this.username) query.set("username", this.username);
    query.set("hello", "1");
    const position = this.#seq ?? this.#floor;
    if (position !== null) {
      query.set("sinceSeq", position);
      if (this.#epoch !== null) query.set("epoch", this.#epoch);
    } else if (this.#history > 0) {
      query.set("history", this.#history);
    }
    return address;
  }

  #receive(data) {
    this.#cancel("probe");
    if (this.#welcomed) this.#listen();
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
      case "ACK":
        return this.#acknowledged(message);
      default:
        if (Number.isSafeInteger(message.seq)) this.#accept(message);
    }
  }

  #welcome(welcome) {
    this.#cancel("welcome");
    this.#welcomed = true;
    this.#tokenRetried = false;
    this.#head = welcome.seq;
    if (this.#epoch !== null && this.#epoch !== welcome.epoch) {
      // The log behind the old position is lost. A GAP should say so; if none comes, the next message does.
      this.#seq = null;
      this.#floor = welcome.seq;
      this.#lossy = true;
      this.#owesGap = true;
    }
    this.#epoch = welcome.epoch;
    this.#enter({ name: "open" });
    this.#emit("welcome", welcome);
    this.#after("stable", STABLE_AFTER, () => (this.#attempt = 0));
    this.#listen();
    if (this.#seq === null && this.#floor === null) {
      // From now on there is a position: what comes while the line is cut is asked for from here.
      this.#floor = Math.max(this.#head - this.#history, 0);
      this.#after("replay", HISTORY_WAIT, () => this.#catchUp());
    }
    if ((this.#seq ?? this.#floor) >= this.#head) this.#catchUp();
    else this.#flush();
  }

  /** The server is heard; if it stays silent for long, it is asked. */
  #listen() {
    this.#after("silence", SILENCE_WAIT, () => this.#probe());
  }

  /** Asks for an answer that every room gives: a message without content is answered with an ERROR that names it. */
  #probe() {
    if (this.#socket?.readyState !== WebSocket.OPEN || this.#timers.has("probe")) return;
    this.#socket.send(JSON.stringify({ id: PROBE }));
    this.#after("probe", PROBE_WAIT, () => this.#abandon());
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
    const { clientId, code, content, retryAfter } = problem;
    if (clientId === PROBE) return;
    const entry = this.#pending.get(clientId);
    if (entry === undefined) return this.#emit("problem", problem);
    if (!ERROR_PASSING.has(code)) return this.#fail(clientId, "refused", content);
    entry.socket = null;
    entry.resendAt = Date.now() + (retryAfter ?? RESEND_AFTER);
    this.#resendLater();
  }

  /** Sends what the room could not take again, each message when it is due. */
  #resendLater() {
    const due = [...this.#pending.values()].map(({ resendAt }) => resendAt).filter((at) => at !== null);
    if (due.length === 0) return;
    this.#after("resend", Math.max(Math.min(...due) - Date.now(), 0), () => this.#flush());
  }

  /** A message that was sent again was stored the first time: it is in the log, here or in a gap. */
  #acknowledged({ clientId }) {
    if (this.#pending.delete(clientId)) this.#emit("stored", { id: clientId });
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

  /** Sends what waits, in order. What was sent before waits until the replay has shown whether it was stored. */
  #flush() {
    if (!this.#welcomed || this.#socket?.readyState !== WebSocket.OPEN) return;
    const now = Date.now();
    for (const entry of this.#pending.values()) {
      if (entry.socket === this.#socket) continue;
      if (!this.#caughtUp && entry.firstSentAt !== null) break;
      if (entry.resendAt > now) continue;
      entry.socket = this.#socket;
      entry.sentAt = now;
      entry.firstSentAt ??= now;
      entry.resendAt = null;
      this.#socket.send(entry.frame);
    }
    this.#resendLater();
    this.#expectAcknowledgement();
  }

  /** The message that waits longest for an answer on this connection. */
  #oldestSent() {
    for (const entry of this.#pending.values()) if (entry.socket === this.#socket) return entry;
    return undefined;
  }

  #expectAcknowledgement() {
    const oldest = this.#oldestSent();
    if (oldest === undefined) return;
    const left = Math.max(oldest.sentAt + ACKNOWLEDGE_WAIT - Date.now(), 0);
    this.#after("acknowledge", left, () => {
      if (this.#oldestSent() === oldest && Date.now() - oldest.sentAt >= ACKNOWLEDGE_WAIT) this.#abandon();
      else this.#expectAcknowledgement();
    });
  }

  #fail(id, reason, words = "") {
    const { content } = this.#pending.get(id);
    this.#pending.delete(id);
    this.#emit("failure", { id, content, reason, words });
  }

  /** Gives up on a connection that seems dead, without waiting for its closing handshake. */
  #abandon() {
    this.#release()?.close();
    this.#wait();
  }

  #lost(code, reason) {
    const socket = this.#release();
    if (this.#isFinal(code, socket)) this.#enter({ name: "ended", code, reason });
    else this.#wait();
  }

  /** Whether another attempt would end the same way. */
  #isFinal(code, socket) {
    if (code === CLOSE_TOO_BIG) return !this.#failLargest(socket);
    if (code === CLOSE_UNAUTHENTICATED) {
      // The token may have expired meanwhile: a fresh one gets one attempt.
      const again = !this.#tokenRetried && this.#token();
      this.#tokenRetried = true;
      return !again;
    }
    return CLOSE_FINAL.has(code) || (code >= 4000 && code !== CLOSE_TOO_SLOW);
  }

  /** Sent again, the message that was too big would end every further connection: of those sent it is the longest frame. */
  #failLargest(socket) {
    const bytes = ({ frame }) => new TextEncoder().encode(frame).length;
    const sent = [...this.#pending].filter(([, entry]) => entry.socket === socket);
    if (sent.length === 0) return false;
    const [id] = sent.reduce((largest, other) => (bytes(other[1]) > bytes(largest[1]) ? other : largest));
    this.#fail(id, "too-big");
    return true;
  }

  #wait() {
    this.#attempt += 1;
    const ceiling = Math.min(RETRY_LAST, RETRY_FIRST * 2 ** this.#attempt);
    // At random: clients that lost the same server do not come back at the same moment.
    const delay = RETRY_FIRST + Math.random() * (ceiling - RETRY_FIRST);
    this.#after("retry", delay, () => this.#connect());
    this.#enter({ name: "waiting", retryAt: Date.now() + delay });
  }

  /** Lets go of the socket: nothing that it does counts any more. */
  #release() {
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    const socket = this.#socket;
    this.#socket = null;
    this.#welcomed = false;
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

  /** Rooms, newest first, from a list that the server keeps in the order of ids: reads it to its end, but not forever. */
  async rooms() {
    const rooms = [];
    for (let page = 0; page < ROOM_PAGES_MAX; page += 1) {
      const query = new URLSearchParams({ limit: ROOM_PAGE_COUNT });
      if (rooms.length > 0) query.set("after", rooms.at(-1).id);
      const { body } = await this.#ask(`?${query}`);
      rooms.push(...body);
      if (body.length < ROOM_PAGE_COUNT) break;
    }
    // All times are of one form, so that their texts are in their order.
    return rooms.sort((one, other) => other.createdAt.localeCompare(one.createdAt));
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

/** `length` random bytes in hex. `crypto.randomUUID` exists only in secure contexts; a page on a local network is none. */
export function randomId(length = 16) {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
