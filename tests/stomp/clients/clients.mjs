// The three kinds of client a scenario can name: of the library, raw, and a member of JSON chat.
import { Client, Versions } from "@stomp/stompjs";
import WebSocket from "ws";

import { decode, encode } from "./frames.mjs";

const OPEN_MILLISECONDS = 5_000;

/** What a client got and nobody has asked for yet. */
class Inbox {
  frames = [];
  over = null;
  #changed = () => {};

  accept(frame) {
    this.frames.push(frame);
    this.#changed();
  }

  /** The connection has ended; only the raw client knows the code. */
  end(code) {
    this.over ??= { code };
    this.#changed();
  }

  /** Waits until `look()` returns something other than undefined; undefined after that time. */
  async until(look, milliseconds) {
    const late = Date.now() + milliseconds;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      const left = late - Date.now();
      if (left <= 0) return undefined;
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** A connection of `@stomp/stompjs`. */
export class Library extends Inbox {
  #messages = new Map();

  constructor(url, words, headers) {
    super();
    const { version = "1.2", "heart-beat": beats = "0,0", ...others } = headers;
    const [outgoing, incoming] = beats.split(",").map(Number);
    const protocols = [`v${version.replace(".", "")}.stomp`];
    this.client = new Client({
      webSocketFactory: () => (this.socket = new WebSocket(url, protocols)),
      stompVersions: new Versions([version]),
      connectHeaders: { host: "/", ...others },
      heartbeatOutgoing: outgoing,
      heartbeatIncoming: incoming,
      reconnectDelay: 0,
      forceBinaryWSFrames: words.includes("binary"),
    });
    const accept = (frame) => this.accept(plain(frame));
    this.client.onConnect = accept;
    this.client.onStompError = accept;
    this.client.onUnhandledReceipt = accept;
    this.client.onDisconnect = accept;
    this.client.onUnhandledMessage = (message) => this.#message(message);
    this.client.onHeartbeatReceived = () => this.accept({ command: "EOL", headers: {}, body: Buffer.alloc(0) });
    this.client.onWebSocketClose = () => this.end();
    this.client.activate();
  }

  #message(message) {
    this.#messages.set(message.headers.ack ?? message.headers["message-id"], message);
    this.accept(plain(message));
  }

  send(command, headers, body) {
    const { destination, id, transaction, ...others } = headers;
    const inTransaction = transaction === undefined ? others : { ...others, transaction };
    switch (command) {
      case "SEND": {
        const named = id === undefined ? inTransaction : { ...inTransaction, id };
        const content = isText(body) ? { body: body.toString() } : { binaryBody: new Uint8Array(body) };
        return this.client.publish({ destination, headers: named, ...content });
      }
      case "SUBSCRIBE":
        return this.client.subscribe(destination, (message) => this.#message(message), { ...others, id });
      case "UNSUBSCRIBE":
        return this.client.unsubscribe(id, others);
      case "ACK":
      case "NACK": {
        const { "message-id": name = id, subscription: _, ...rest } = inTransaction;
        const message = this.#messages.get(name);
        return command === "ACK" ? message.ack(rest) : message.nack(rest);
      }
      case "BEGIN":
        return this.client.begin(transaction);
      case "COMMIT":
        return this.client.commit(transaction);
      case "ABORT":
        return this.client.abort(transaction);
      case "DISCONNECT":
        this.client.disconnectHeaders = others;
        return this.client.deactivate();
      default:
        throw new Error(`the library sends no ${command}`);
    }
  }

  cut() {
    this.socket.terminate();
  }
}

function plain({ command, headers, binaryBody }) {
  return { command, headers: { ...headers }, body: Buffer.from(binaryBody) };
}

function isText(bytes) {
  return Buffer.from(bytes.toString()).equals(bytes);
}

/** A socket that says what it is told to, and reads frames by itself. */
export class Raw extends Inbox {
  #version = "1.0";

  constructor(url, protocols) {
    super();
    this.socket = new WebSocket(url, protocols);
    this.opened = opened(this.socket);
    this.socket.on("message", (data) => this.#receive(data));
    this.socket.on("close", (code) => this.end(code));
  }

  #receive(data) {
    try {
      for (const frame of decode(data, this.#version)) {
        if (frame.command === "CONNECTED") this.#version = frame.headers.version ?? "1.0";
        this.accept(frame);
      }
    } catch (error) {
      this.accept({ command: `(${error.message})`, headers: {}, body: data });
    }
  }

  send(command, headers, body) {
    this.say(encode(command, Object.entries(headers), body), !isText(body));
  }

  say(bytes, binary) {
    this.socket.send(bytes, { binary });
  }

  cut() {
    this.socket.terminate();
  }
}

/** A member of JSON chat; its messages are frames `JSON` with their fields as headers. */
export class Chatter extends Inbox {
  constructor(url) {
    super();
    this.socket = new WebSocket(url);
    this.opened = opened(this.socket);
    this.socket.on("message", (data) => {
      if (String(data) === "HEARTBEAT") return;
      const fields = Object.entries(JSON.parse(data)).map(([name, value]) => [name, String(value)]);
      this.accept({ command: "JSON", headers: Object.fromEntries(fields), body: Buffer.alloc(0) });
    });
    this.socket.on("close", (code) => this.end(code));
  }

  say(content, fields) {
    this.socket.send(JSON.stringify({ content, ...fields }));
  }

  cut() {
    this.socket.terminate();
  }
}

function opened(socket) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the WebSocket does not open")), OPEN_MILLISECONDS);
    socket.once("open", () => {
      clearTimeout(timer);
      resolve();
    });
    socket.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}
