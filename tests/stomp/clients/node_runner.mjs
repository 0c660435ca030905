// Takes the steps of scenarios with `@stomp/stompjs`: `node_runner.mjs PLAN`, one line of JSON per scenario.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

import { Chatter, Library, Raw } from "./clients.mjs";

const AT_ONCE = 16;
const WAIT_MILLISECONDS = 10_000;
const CLOSE_MILLISECONDS = 6_000;
const QUIET_MILLISECONDS = 400;
const SHOWN_MAX = 40;

/** A step that did not come out as the scenario says. */
class Unmet extends Error {}

class Scenario {
  #clients = new Map();
  #values;
  #awaited = 0;
  #faults = [];

  constructor(plan) {
    this.plan = plan;
    this.#values = new Map(Object.entries(plan.given));
  }

  async run(steps) {
    try {
      for (const step of steps) {
        try {
          await this.#take(step);
        } catch (error) {
          this.#note(step, error instanceof Unmet ? error.message : String(error));
          return this.#faults.join("; ");
        }
      }
      this.#leftOver();
      return this.#faults.join("; ") || "ok";
    } finally {
      for (const client of this.#clients.values()) client.cut();
    }
  }

  #note(step, fault) {
    this.#faults.push(`\`${step.text}\`: ${this.#anonymous(fault)}`);
  }

  #leftOver() {
    for (const [who, client] of this.#clients) {
      const left = client.frames.find(({ command }) => !["EOL", "CONNECTED", "JSON"].includes(command));
      if (left) this.#faults.push(`${who} has a ${this.#anonymous(shown(left))} left over`);
    }
  }

  async #take(step) {
    const words = step.words ?? [];
    const client = this.#clients.get(step.who);
    switch (step.verb) {
      case "connects":
        return this.#connect(step, words);
      case "opens": {
        const protocols = words.length > 0 ? words[0].split(",") : [];
        const raw = new Raw(this.plan.url, protocols);
        this.#clients.set(step.who, raw);
        return raw.opened;
      }
      case "speaks":
        return demand(unlike("the subprotocol", client.socket.protocol, words[0]));
      case "frame":
        return this.#frame(client, step);
      case "sends":
      case "sends binary":
        for (const string of step.strings) client.say(this.#bytes(string), step.verb === "sends binary");
        return undefined;
      case "gets":
      case "hears":
        return this.#get(client, step);
      case "gets nothing":
        return this.#nothing(client, milliseconds(words[0]) ?? QUIET_MILLISECONDS);
      case "is closed":
        return this.#closed(client, words[0]);
      case "leaves":
        return this.#leave(client);
      case "is cut":
        return client.cut();
      case "waits":
        return new Promise((resolve) => setTimeout(resolve, milliseconds(words[0])));
      case "chats": {
        const chatter = new Chatter(`${this.plan.chat}?${new URLSearchParams(this.#headers(step))}`);
        this.#clients.set(step.who, chatter);
        return chatter.opened;
      }
      case "says":
        return client.say(String(this.#bytes(step.strings[0])), this.#headers(step));
      case "POST": {
        const { status } = await fetch(`${this.plan.http}${this.#filled(step.path)}`, { method: "POST" });
        if (status >= 300) throw new Unmet(`status ${status}`);
        return undefined;
      }
      default:
        throw new Error(`no verb ${step.verb}`);
    }
  }

  async #connect(step, words) {
    const client = new Library(this.plan.url, words, this.#headers(step));
    this.#clients.set(step.who, client);
    await this.#next(client, "CONNECTED", () => true);
  }

  async #frame(client, step) {
    const headers = this.#headers(step);
    if (step.awaited) headers.receipt = `awaited-${(this.#awaited += 1)}`;
    client.send(step.command, headers, this.#bytes(step.strings[0]));
    if (!step.awaited) return;
    const receipt = await this.#next(client, "RECEIPT", (frame) => frame.headers["receipt-id"] === headers.receipt);
    client.frames.splice(client.frames.indexOf(receipt), 1);
  }

  async #get(client, step) {
    const command = step.command ?? "JSON";
    const wanted = this.#headers(step);
    const own = ["receipt-id", "subscription"].filter((name) => name in wanted && !/^[?=!-]/.test(wanted[name]));
    const frame = await this.#next(client, command, ({ headers }) => own.every((name) => headers[name] === wanted[name]));
    client.frames.splice(client.frames.indexOf(frame), 1);
    // The frame is there: what is wrong with it is noted, and the scenario goes on.
    for (const [name, value] of Object.entries(wanted)) {
      const fault = this.#compare(name, frame.headers[name], value);
      if (fault) this.#note(step, fault);
    }
    if (step.strings.length === 0) return;
    const body = this.#bytes(step.strings[0]);
    if (!frame.body.equals(body)) this.#note(step, `the body is ${brief(frame.body)} instead of ${brief(body)}`);
  }

  /** What is wrong with a header; nothing, if it is as wanted. */
  #compare(name, found, wanted) {
    const value = wanted.slice(1);
    switch (wanted[0]) {
      case "-":
        return found === undefined ? undefined : `${name} is there: ${JSON.stringify(found)}`;
      case "!":
        return found === value ? `${name} is ${JSON.stringify(found)}` : undefined;
      case "?":
        return found === undefined ? `${name} is missing` : undefined;
      case "=":
        if (found === undefined) return `${name} is missing`;
        this.#values.set(value, found);
        return undefined;
      default:
        return unlike(name, found, wanted);
    }
  }

  /** The next frame of that command, left where it is; an ERROR nobody asked for is a failure. */
  async #next(client, command, accept) {
    const found = await client.until(() => {
      const frame = client.frames.find((frame) => frame.command === command && accept(frame));
      if (frame) return frame;
      const error = client.frames.find((frame) => frame.command === "ERROR" || frame.command.startsWith("("));
      return error ?? (client.over ? "the connection ended" : undefined);
    }, WAIT_MILLISECONDS);
    if (found === undefined) throw new Unmet(`no ${command} came`);
    if (typeof found === "string") throw new Unmet(`${found} instead`);
    if (found.command !== command) throw new Unmet(`${shown(found)} came instead`);
    return found;
  }

  async #nothing(client, time) {
    const found = await client.until(() => {
      const frame = client.frames.find(({ command }) => command !== "EOL" && command !== "CONNECTED");
      return frame ?? (client.over ? "the connection ended" : undefined);
    }, time);
    if (found !== undefined) throw new Unmet(typeof found === "string" ? found : `${shown(found)} came`);
  }

  async #closed(client, code) {
    const over = await client.until(() => client.over ?? undefined, CLOSE_MILLISECONDS);
    if (!over) throw new Unmet("still open");
    if (code) demand(unlike("the close code", String(over.code), code));
  }

  async #leave(client) {
    const receipt = "leaving";
    client.send("DISCONNECT", { receipt }, Buffer.alloc(0));
    await this.#closed(client);
    client.frames = client.frames.filter(({ headers }) => headers["receipt-id"] !== receipt);
  }

  #headers(step) {
    return Object.fromEntries(step.headers.map(([name, value]) => [name, this.#filled(value)]));
  }

  #bytes(string) {
    if (string === undefined) return Buffer.alloc(0);
    return string.hex === undefined ? Buffer.from(this.#filled(string.text)) : Buffer.from(string.hex, "hex");
  }

  /** `$name` is what was noted under it, or else a name that nobody else uses; `$name+1` is one more. */
  #filled(text) {
    return text.replace(/\$([a-z][a-z0-9]*)(?:\+(\d+))?/g, (_, name, more) => {
      if (!this.#values.has(name)) this.#values.set(name, `${name}-${randomUUID().slice(0, 8)}`);
      const value = this.#values.get(name);
      return more === undefined ? value : String(Number(value) + Number(more));
    });
  }

  #anonymous(text) {
    for (const [name, value] of this.#values) {
      if (value.length > 4) text = text.replaceAll(value, `$${name}`);
    }
    return text.replaceAll(/\s+/g, " ");
  }
}

function milliseconds(word) {
  return word === undefined ? undefined : Number(word.replace(/s$/, "")) * 1000;
}

function unlike(what, found, wanted) {
  if (found === wanted) return undefined;
  if (found === undefined) return `${what} is missing`;
  return `${what} is ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`;
}

function demand(fault) {
  if (fault) throw new Unmet(fault);
}

function brief(bytes) {
  return bytes.length > SHOWN_MAX ? `of ${bytes.length} bytes` : JSON.stringify(String(bytes));
}

function shown({ command, headers, body }) {
  if (command === "ERROR") return `ERROR ${JSON.stringify(headers.message ?? "")}`;
  return command === "MESSAGE" ? `MESSAGE ${brief(body)}` : command;
}

const plan = JSON.parse(readFileSync(process.argv[2]));
const waiting = [...plan.scenarios];

async function work() {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const started = Date.now();
    const outcome = await new Scenario(plan).run(next.steps);
    console.log(JSON.stringify({ name: next.name, outcome, seconds: (Date.now() - started) / 1000 }));
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, work));
process.exit(0);
