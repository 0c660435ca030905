/**
 * Who is in the room, worked out from the log: a JOIN adds a session, a LEAVE takes one away; a user with several is
 * there once. The number of users starts from WELCOME; the names of those who were there before the replayed part of
 * the log are unknown until they speak. Where the server can be asked for the list, its answer replaces the guess.
 */
export class Presence {
  #username;
  #sessions = new Map();
  #count = 1;
  #announced = false;
  /** How often the log has told of a change, so that an answer from before one can be recognised. */
  changes = 0;

  constructor(username) {
    this.#username = username;
  }

  welcome({ online }) {
    this.changes += 1;
    this.#count = online;
    this.#announced = false;
    if (!this.#sessions.has(this.#username)) this.#add(this.#username);
  }

  /** Takes a stored message into account; true if it may have changed who is there. */
  receive(message, live) {
    switch (message.type) {
      case "JOIN":
        this.changes += 1;
        this.#join(message.username ?? nameBefore(message.content, " joined"), live);
        this.#counted(message, live);
        return true;
      case "LEAVE":
        this.changes += 1;
        this.#leave(message.username ?? nameBefore(message.content, " left"), live);
        this.#counted(message, live);
        return true;
      case "MESSAGE":
        if (!live || this.#sessions.has(message.sender)) return false;
        this.#add(message.sender);
        return true;
      default:
        return false;
    }
  }

  /** The names known so far say nothing after a gap. */
  forget() {
    this.#sessions = new Map([[this.#username, 1]]);
  }

  /** Takes over the server's own list. */
  replace(users) {
    this.#sessions = new Map([[this.#username, 1]]);
    for (const user of users) if (!this.#sessions.has(user)) this.#add(user);
    this.#count = this.#sessions.size;
  }

  get count() {
    return Math.max(this.#count, 1);
  }

  /** Known names in alphabetical order, one's own first; never more than there are users. */
  get names() {
    const others = [...this.#sessions.keys()].filter((name) => name !== this.#username);
    // A server that died wrote no LEAVE: of more names than users the oldest are left over from before.
    const kept = others.slice(Math.max(others.length - (this.count - 1), 0));
    return [this.#username, ...kept.sort((a, b) => a.localeCompare(b))];
  }

  /** The server says with each change how many users there are. */
  #counted({ online }, live) {
    if (live && Number.isSafeInteger(online)) this.#count = online;
  }

  #join(name, live) {
    if (live && name === this.#username && !this.#announced) {
      // One's own arrival: WELCOME has counted it.
      this.#announced = true;
      return;
    }
    if (live && !this.#sessions.has(name)) this.#count += 1;
    if (name !== null) this.#add(name);
  }

  #leave(name, live) {
    const left = (this.#sessions.get(name) ?? 1) - 1;
    if (left > 0) {
      this.#sessions.set(name, left);
    } else if (name !== this.#username) {
      if (live) this.#count -= 1;
      this.#sessions.delete(name);
    }
  }

  #add(name) {
    this.#sessions.set(name, (this.#sessions.get(name) ?? 0) + 1);
  }
}

/** The name in a notice of the default wording; null for any other. */
function nameBefore(content, ending) {
  return content.endsWith(ending) ? content.slice(0, -ending.length) : null;
}
