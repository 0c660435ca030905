// The way to the server: the WebSocket that tells figures, and the questions over HTTP. Nothing is known here of the page.

const WAIT_MIN = 500;
const WAIT_MAX = 20_000;
/** A server that says nothing for so long is asked again: it tells figures every second. */
const SILENCE_MAX = 10_000;
const UNAUTHENTICATED = 4401;
const REFUSED = 4403;

/**
 * Events: `state` {connected}, `token` {problem} when an administrator's token is needed, `refused` {problem},
 * and each message of the server by its type: `stats`, `rooms`, `members`, `ended`, `done`, `error`.
 */
export class Connection extends EventTarget {
  #token;
  #socket;
  #attempts = 0;
  #timer;
  #silence;
  #number = 0;
  #waiting = new Map();

  /** Asks who one is, and begins; with the token if one is given. */
  async start(token) {
    this.#token = token ?? this.#token;
    clearTimeout(this.#timer);
    let answer;
    try {
      answer = await this.#fetch("admin/me");
    } catch {
      return this.#again();
    }
    if (answer.status === 401) return this.#tell("token", { problem: this.#token ? "This token is not accepted." : "" });
    if (answer.status === 403) {
      const problem = (await answer.json().catch(() => ({}))).detail ?? "This is refused.";
      return this.#tell(this.#token ? "token" : "refused", { problem });
    }
    if (!answer.ok) return this.#again();
    this.#open();
  }

  #open() {
    const url = new URL("admin/live", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.#socket = new WebSocket(url));
    socket.onopen = () => {
      if (this.#token) socket.send(JSON.stringify({ type: "AUTH", token: this.#token }));
      this.#listen();
    };
    socket.onmessage = ({ data }) => {
      this.#listen();
      this.#take(JSON.parse(data));
    };
    socket.onclose = ({ code, reason }) => {
      if (this.#socket !== socket) return;
      clearTimeout(this.#silence);
      this.#socket = undefined;
      for (const { reject } of this.#waiting.values()) reject(new Error("The connection was lost."));
      this.#waiting.clear();
      this.#tell("state", { connected: false });
      if (code === UNAUTHENTICATED) return this.#tell("token", { problem: reason });
      if (code === REFUSED) return this.#tell("token", { problem: reason });
      this.#again();
    };
  }

  /** A line can be dead without an end. */
  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#socket?.close(), SILENCE_MAX);
  }

  #take(message) {
    if (message.type === "stats" && this.#attempts !== -1) {
      this.#attempts = -1;
      this.#tell("state", { connected: true });
    }
    const waiting = this.#waiting.get(message.number);
    if (waiting) {
      this.#waiting.delete(message.number);
      if (message.type === "error") waiting.reject(new Error(message.content));
      else waiting.resolve(message);
    } else {
      this.#tell(message.type, message);
    }
  }

  #again() {
    this.#attempts = Math.max(this.#attempts, 0) + 1;
    this.#tell("state", { connected: false });
    const longest = Math.min(WAIT_MAX, WAIT_MIN * 2 ** this.#attempts);
    this.#timer = setTimeout(() => this.start(), WAIT_MIN + Math.random() * (longest - WAIT_MIN));
  }

  /** Asks over the WebSocket; of searches only the newest is answered, earlier ones of the same kind never are. */
  ask(question) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Error("There is no connection."));
    const number = (this.#number += 1);
    for (const [other, { type, resolve }] of this.#waiting) {
      if (type !== question.type && !(isSearch(type) && isSearch(question.type))) continue;
      if (!isSearch(type)) continue;
      this.#waiting.delete(other);
      resolve(undefined);
    }
    this.#socket.send(JSON.stringify({ ...question, number }));
    return new Promise((resolve, reject) => this.#waiting.set(number, { type: question.type, resolve, reject }));
  }

  /** Asks over HTTP; the answer, or an error with what the server says. */
  async request(path, options = {}) {
    const answer = await this.#fetch(path, options);
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail ?? problem.title ?? `The server answers ${answer.status}.`);
  }

  #fetch(path, options = {}) {
    const headers = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    return fetch(new URL(path, document.baseURI), { ...options, headers, cache: "no-store" });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function isSearch(type) {
  return type === "rooms" || type === "members";
}
