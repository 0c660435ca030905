/** The conversation as the page shows it: grouping, day separators, pending messages, and where it is scrolled to. */

/** Messages of one sender within this time stand under one heading. */
const GROUP_WITHIN = 5 * 60_000;
/** Older entries leave the page: a room may run for days in one tab. */
const ENTRIES_MAX = 1_000;
/** This close to the end, in pixels, counts as reading the newest. */
const NEAR_END = 80;
/** This close to the beginning, in pixels, earlier messages are asked for. */
const NEAR_START = 240;
const HUE_COUNT = 8;
/** Entries put into the page in one frame; the rest waits for the next, so that a long replay never blocks the page. */
const ENTRIES_PER_FRAME = 500;
/** A hidden page gets no frames: it is updated this often, in milliseconds. */
const HIDDEN_INTERVAL = 500;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const fullDate = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const dayName = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const datedDay = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });

/** Three pictures or fewer and nothing else. */
const ONLY_PICTURES = /^(?:\p{Extended_Pictographic}(?:[\ufe0f\u{1f3fb}-\u{1f3ff}]|\u200d\p{Extended_Pictographic})*\s?){1,3}$/u;
const LINK = /https?:\/\/[^\s<>"]+[^\s<>"'.,:;!?)\]}]/giu;

export class LogView {
  #scroller;
  #log;
  #pending;
  #empty;
  #newer;
  #earlier;
  #username;
  #isOwn;
  #last = null;
  #day = null;
  #unseen = 0;
  #atEnd = true;
  /** The number below which the server has nothing any more. */
  #start = 1;
  #replaying = false;
  #loading = false;
  /** False after a failure, until the reader asks by the button: scrolling must not repeat it on and on. */
  #loadsItself = true;
  #load;
  #entries = new Map();
  #observer;
  /** What is shown with the next frame, in order; each act gives the elements to add. */
  #queue = [];
  #frame = null;

  /**
   * `load` takes a number and promises the messages before it, oldest first, or null if they cannot be had; `isOwn` says
   * whether a message was written here.
   */
  constructor({ scroller, log, pending, empty, newer, earlier, username, isOwn, load }) {
    this.#scroller = scroller;
    this.#log = log;
    this.#pending = pending;
    this.#empty = empty;
    this.#newer = newer;
    this.#earlier = earlier;
    this.#username = username;
    this.#isOwn = isOwn;
    this.#load = load;
    log.replaceChildren();
    pending.replaceChildren();
    empty.hidden = false;
    newer.hidden = true;
    earlier.hidden = true;
    earlier.onclick = () => this.#loadEarlier();
    scroller.onscroll = () => this.#scrolled();
    newer.onclick = () => {
      this.toEnd();
      scroller.focus({ preventScroll: true });
    };
    this.#observer = new ResizeObserver(() => this.#atEnd && this.toEnd());
    this.#observer.observe(scroller);
    this.#observer.observe(log.parentElement);
  }

  /** Stops following changes of size, and shows nothing more. */
  end() {
    this.#observer.disconnect();
    this.#queue = [];
    this.#cancelFrame();
  }

  /** While earlier messages are replayed, a screen reader stays silent. */
  set replaying(yes) {
    this.#enqueue(() => {
      this.#log.setAttribute("aria-busy", String(yes));
      this.#replaying = yes;
      return [];
    });
  }

  /** Shows a stored message; one's own replaces its pending twin. */
  message(message, live) {
    this.#enqueue(() => {
      const { entries, day, last } = this.#entriesOf(message, { day: this.#day, last: this.#last });
      this.#day = day;
      this.#last = last;
      if (message.clientId !== undefined) this.#drop(message.clientId);
      if (live && last !== null && !this.#isOwn(message)) this.#unseen += 1;
      return entries;
    });
  }

  /** Says honestly that messages are missing here. */
  gap({ from, to }) {
    this.#enqueue(() => {
      this.#last = null;
      return [element("p", "gap", gapText(from, to))];
    });
  }

  /** A word from the server to this member alone. */
  problem(text) {
    this.#enqueue(() => {
      this.#last = null;
      return [element("p", "notice problem", text)];
    });
  }

  /** A message that was sent again is in the log already. */
  stored(id) {
    this.#enqueue(() => {
      this.#drop(id);
      return [];
    });
  }

  /** Shows what was just written until it comes back from the room. */
  publish(id, content) {
    this.#showAll();
    const entry = bubble(content, { sender: this.#username, own: true });
    entry.classList.add("waiting");
    entry.append(element("p", "fate", "Sending…"));
    this.#entries.set(id, entry);
    this.#pending.append(entry);
    this.#groupPending();
    this.#empty.hidden = true;
    this.toEnd();
  }

  /** A pending message was given up: says why and lets the writer decide. */
  failure(id, words, sendAgain) {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.classList.add("failed");
    const again = button("Send again", () => {
      this.#forget(id);
      sendAgain();
    });
    const remove = button("Remove", () => this.#forget(id));
    entry.querySelector(".fate").replaceChildren(element("span", "", words), ...(sendAgain ? [again] : []), remove);
    if (this.#atEnd) this.toEnd();
  }

  toEnd() {
    this.#atEnd = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#dropUnseen();
  }

  /**
   * Everything that comes between two frames is put into the page at once: after each change alone the browser would
   * lay the whole conversation out anew.
   */
  #enqueue(act) {
    this.#queue.push(act);
    this.#requestFrame();
  }

  #requestFrame() {
    if (this.#frame !== null) return;
    const show = () => {
      this.#cancelFrame();
      this.#show(ENTRIES_PER_FRAME);
    };
    const frame = requestAnimationFrame(show);
    const timer = setTimeout(show, HIDDEN_INTERVAL);
    this.#frame = () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }

  #cancelFrame() {
    this.#frame?.();
    this.#frame = null;
  }

  #showAll() {
    this.#cancelFrame();
    this.#show(Infinity);
  }

  #show(countMax) {
    const batch = this.#queue.splice(0, countMax);
    const added = document.createDocumentFragment();
    for (const act of batch) added.append(...act());
    const grows = added.childElementCount > 0;
    if (grows) {
      this.#empty.hidden = true;
      this.#log.append(added);
      this.#groupPending();
    }
    if (this.#atEnd) {
      this.#dropOldest();
      if (grows) this.toEnd();
      this.#unseen = 0;
    } else {
      this.#announceUnseen();
    }
    if (!this.#replaying) this.#offerEarlier();
    if (this.#queue.length > 0) this.#requestFrame();
  }

  /** Entries above the reader's place would move what is being read, so only those at the end let the oldest go. */
  #dropOldest() {
    const surplus = this.#log.childElementCount - ENTRIES_MAX;
    if (surplus <= 0) return;
    for (let count = 0; count < surplus; count += 1) this.#log.firstElementChild.remove();
  }

  /** What shows a message behind another one of `day`, with `last` as the end of a group; and both as they are then. */
  #entriesOf(message, { day, last }) {
    const at = new Date(message.timestamp);
    const entries = [];
    if (at.toDateString() !== day) {
      day = at.toDateString();
      last = null;
      const separator = element("h2", "day", dayText(at));
      separator.dataset.day = day;
      entries.push(separator);
    }
    const { sender, content, seq } = message;
    let entry;
    if (message.type === "MESSAGE") {
      entry = bubble(content, { sender, own: this.#isOwn(message), at });
      entry.classList.toggle("follows", continues(last, sender, entry.classList.contains("own"), at));
      last = { sender, own: entry.classList.contains("own"), at };
    } else {
      entry = element("p", "notice", [element("span", "", withName(content, message.username)), timeOf(at)]);
      last = null;
    }
    entry.dataset.seq = seq;
    entries.push(entry);
    return { entries, day, last };
  }

  get #first() {
    return Number(this.#log.querySelector("[data-seq]")?.dataset.seq ?? this.#start);
  }

  #offerEarlier() {
    this.#earlier.hidden = this.#first <= this.#start;
  }

  async #loadEarlier() {
    if (this.#loading || this.#earlier.hidden) return;
    this.#loading = true;
    this.#showAll();
    this.#earlier.textContent = "Fetching earlier messages…";
    const before = this.#first;
    const messages = await this.#load(before);
    this.#loading = false;
    this.#earlier.textContent = "Earlier messages";
    this.#loadsItself = messages !== null;
    // The oldest may have left the page meanwhile: then these would not meet what is shown.
    if (messages === null || before !== this.#first) return;
    if (messages.length === 0) this.#start = before;
    else this.#prepend(messages);
    const focused = document.activeElement === this.#earlier;
    this.#offerEarlier();
    if (focused && this.#earlier.hidden) this.#scroller.focus({ preventScroll: true });
  }

  /** Puts messages before all others, and leaves what is being read where it is. */
  #prepend(messages) {
    let context = { day: null, last: null };
    const added = document.createDocumentFragment();
    for (const message of messages) {
      const { entries, ...after } = this.#entriesOf(message, context);
      added.append(...entries);
      context = after;
    }
    this.#log.setAttribute("aria-busy", "true");
    const { scrollTop, scrollHeight } = this.#scroller;
    const top = this.#log.firstElementChild;
    if (top?.dataset.day === context.day) top.remove();
    this.#log.prepend(added);
    this.#scroller.scrollTop = scrollTop + this.#scroller.scrollHeight - scrollHeight;
    this.#log.setAttribute("aria-busy", "false");
  }

  #forget(id) {
    this.#drop(id);
    this.#groupPending();
  }

  #drop(id) {
    this.#entries.get(id)?.remove();
    this.#entries.delete(id);
  }

  #groupPending() {
    const [first, ...others] = this.#pending.children;
    first?.classList.toggle("follows", continues(this.#last, this.#username, true, Date.now()));
    for (const entry of others) entry.classList.add("follows");
  }

  #announceUnseen() {
    if (this.#unseen === 0) return;
    this.#newer.textContent = this.#unseen === 1 ? "1 new message" : `${this.#unseen} new messages`;
    this.#newer.hidden = false;
  }

  #scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroller;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
    if (this.#atEnd) this.#dropUnseen();
    if (scrollTop < NEAR_START && scrollHeight > clientHeight && this.#loadsItself) this.#loadEarlier();
  }

  #dropUnseen() {
    this.#unseen = 0;
    this.#newer.hidden = true;
  }
}

/** A round badge with the first letters of a name, in the colour that belongs to it. */
export function badge(name) {
  const badge = element("span", "badge", initials(name));
  badge.dataset.hue = hueOf(name);
  badge.setAttribute("aria-hidden", "true");
  return badge;
}

export function element(tag, className, content = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (Array.isArray(content)) made.append(...content);
  else made.textContent = content;
  return made;
}

/** Whether a message stands under the same heading as the last one. */
function continues(last, sender, own, at) {
  return last?.sender === sender && last.own === own && at - last.at < GROUP_WITHIN;
}

function bubble(content, { sender, own, at }) {
  const name = element("bdi", "sender", own ? "You" : sender);
  name.dataset.hue = hueOf(sender);
  const head = element("p", "head", at ? [name, timeOf(at)] : [name]);
  const text = element("p", "text", withLinks(content));
  text.dir = "auto";
  if (ONLY_PICTURES.test(content)) text.classList.add("pictures");
  return element("article", own ? "entry own" : "entry", own ? [head, text] : [badge(sender), head, text]);
}

/** The text of a notice, with the name in it kept from turning the rest around. */
function withName(content, name) {
  const at = name ? content.indexOf(name) : -1;
  if (at < 0) return [element("bdi", "", content)];
  return [content.slice(0, at), element("bdi", "", name), content.slice(at + name.length)];
}

function withLinks(content) {
  const parts = [];
  let end = 0;
  for (const { 0: address, index } of content.matchAll(LINK)) {
    if (!URL.canParse(address)) continue;
    const link = element("a", "", address);
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    parts.push(content.slice(end, index), link);
    end = index + address.length;
  }
  return [...parts, content.slice(end)];
}

function timeOf(at) {
  const time = element("time", "", clock.format(at));
  time.dateTime = at.toISOString();
  time.title = fullDate.format(at);
  return time;
}

function dayText(at) {
  const today = new Date();
  const days = Math.round((new Date(today).setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return at.getFullYear() === today.getFullYear() ? dayName.format(at) : datedDay.format(at);
}

function gapText(from, to) {
  if (from === null || to < from) return "Messages before this point are lost: the room started a new log.";
  if (from === to) return "One message is missing here; the server no longer has it.";
  return `${to - from + 1} messages are missing here; the server no longer has them.`;
}

function button(label, act) {
  const made = element("button", "inline", label);
  made.type = "button";
  made.onclick = act;
  return made;
}

function initials(name) {
  const words = name.trim().split(/\s+/u);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...word][0] ?? "").join("").toLocaleUpperCase();
}

function hueOf(name) {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  return String((hash >>> 16) % HUE_COUNT);
}
