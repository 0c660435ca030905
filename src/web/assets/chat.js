/** The chat page: the entrance, one room at a time, and what surrounds the conversation. */

import { RoomConnection } from "./connection.js";
import { LogView, badge, element } from "./log.js";
import { Presence } from "./presence.js";

const HISTORY_COUNT = 50;
const NAME_BYTES_MAX = 64;
const ROOM_BYTES_MAX = 128;
const NAMES_SHOWN_MAX = 200;
const DEFAULT_ROOM = "lobby";
const NARROW = matchMedia("(max-width: 52rem)");
const PRESENCE_DELAY = 300;

const ENDINGS = {
  1000: "The room was closed.",
  1003: "The server refused what this page sent.",
  4001: "You were asked to leave the room.",
  4401: "This server wants you to sign in first.",
};
const FAILURES = {
  "too-big": "Not sent: too long.",
  unconfirmed: "The connection was lost and it is not known whether this arrived.",
};

const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((found) => [found.id, found]));
let room = null;

/** A room that this page is in: the connection, the log and the list of people. */
class Room {
  #view;
  #presence;
  #connection;
  #ticker = null;
  #presenceTimer = null;
  #presenceKnown = true;
  #unread = 0;

  constructor(roomId, username) {
    this.roomId = roomId;
    this.username = username;
    const { scroller, log, pending, empty, newer } = page;
    this.#view = new LogView({ scroller, log, pending, empty, newer, username });
    this.#presence = new Presence(username);
    this.#connection = new RoomConnection({ url: chatEndpoint(), roomId, username, history: HISTORY_COUNT });
    const on = (type, act) => this.#connection.addEventListener(type, ({ detail }) => act(detail));
    on("state", (state) => this.#showState(state));
    on("welcome", (welcome) => {
      this.#view.replaying = true;
      this.#presence.welcome(welcome);
      this.#peopleChanged();
    });
    on("caughtup", () => (this.#view.replaying = false));
    on("message", ({ message, live }) => this.#receive(message, live));
    on("gap", (gap) => {
      this.#presence.forget();
      this.#peopleChanged();
      this.#view.gap(gap);
    });
    on("problem", ({ content }) => this.#view.problem(`The server says: ${content}`));
    on("failure", ({ id, content, reason }) => {
      this.#view.failure(id, FAILURES[reason], reason === "unconfirmed" ? () => this.publish(content) : null);
    });
    this.#showPeople();
    this.#connection.start();
  }

  publish(content) {
    this.#view.publish(this.#connection.publish(content), content);
  }

  retry() {
    this.#connection.retry();
  }

  /** The reader is back at the page. */
  seen() {
    this.#unread = 0;
    this.#showTitle();
  }

  leave() {
    this.#connection.stop();
    this.#view.end();
    clearInterval(this.#ticker);
    clearTimeout(this.#presenceTimer);
  }

  #receive(message, live) {
    this.#view.message(message, live);
    if (this.#presence.receive(message, live)) this.#peopleChanged();
    if (live && document.hidden && message.type === "MESSAGE" && message.sender !== this.username) {
      this.#unread += 1;
      this.#showTitle();
    }
  }

  #showTitle() {
    document.title = `${this.#unread > 0 ? `(${this.#unread}) ` : ""}${this.roomId} · Foghorn`;
  }

  #showState(state) {
    clearInterval(this.#ticker);
    page.state.dataset.state = state.name;
    page["trouble-when"].textContent = "";
    switch (state.name) {
      case "connecting":
        // The words stay the same over all attempts: a screen reader says them once.
        page["state-text"].textContent = page.trouble.hidden ? "Connecting…" : "Reconnecting…";
        return;
      case "open":
        page["state-text"].textContent = "Connected";
        page.trouble.hidden = true;
        return;
      case "waiting":
        page["state-text"].textContent = "Reconnecting…";
        showTrouble("No connection. What you send waits here.", "Try now", () => this.retry());
        this.#countDown(state.retryAt);
        this.#ticker = setInterval(() => this.#countDown(state.retryAt), 1_000);
        return;
      case "ended":
        page["state-text"].textContent = "Disconnected";
        if (room === this) showTrouble(endingText(state), "Back to the entrance", showEntrance);
    }
  }

  #countDown(retryAt) {
    const seconds = Math.max(1, Math.round((retryAt - Date.now()) / 1_000));
    page["trouble-when"].textContent = `Next attempt in ${seconds} s.`;
  }

  #peopleChanged() {
    this.#showPeople();
    if (!this.#presenceKnown || this.#presenceTimer !== null) return;
    this.#presenceTimer = setTimeout(() => {
      this.#presenceTimer = null;
      this.#askWhoIsHere();
    }, PRESENCE_DELAY);
  }

  /** The server's list is exact; one that does not offer it is not asked twice. */
  async #askWhoIsHere() {
    try {
      const answer = await fetch(new URL(`api/chat/rooms/${encodeURIComponent(this.roomId)}/online`, document.baseURI));
      this.#presenceKnown = answer.ok;
      if (!answer.ok) return;
      const { users } = await answer.json();
      this.#presence.replace(users);
      if (room === this) this.#showPeople();
    } catch {
      // Offline: the next JOIN, LEAVE or WELCOME asks again.
    }
  }

  #showPeople() {
    const { names, count } = this.#presence;
    const shown = names.slice(0, NAMES_SHOWN_MAX);
    page["people-list"].replaceChildren(...shown.map((name) => person(name, name === this.username)));
    page["people-count"].textContent = count;
    page["people-title"].textContent = `Here now: ${count}`;
    page["people-open"].title = `Who is here (${count})`;
    const more = count - shown.length;
    page["people-more"].textContent = `and ${more} more`;
    page["people-more"].hidden = more <= 0;
  }
}

function showTrouble(words, action, act) {
  if (page["trouble-text"].textContent !== words) page["trouble-text"].textContent = words;
  page["trouble-action"].textContent = action;
  page["trouble-action"].onclick = act;
  page.trouble.hidden = false;
}

function person(name, own) {
  const label = element("span", "name", name);
  label.dir = "auto";
  return element("li", "", own ? [badge(name), label, element("span", "you", "you")] : [badge(name), label]);
}

function chatEndpoint() {
  const endpoint = new URL("ws/chat", document.baseURI);
  endpoint.protocol = endpoint.protocol.replace("http", "ws");
  endpoint.hash = endpoint.search = "";
  return endpoint;
}

function endingText({ code, reason }) {
  const words = ENDINGS[code] ?? "The server ended the connection.";
  return reason && code !== 1000 ? `${words} (${reason})` : words;
}

/* Entrance */

function enter(roomId, username) {
  remember("foghorn.name", username);
  remember("foghorn.room", roomId);
  const address = `#${new URLSearchParams({ room: roomId })}`;
  if (location.hash !== address) history.pushState(null, "", address);
  remember("foghorn.inside", address, sessionStorageOrNull());
  page.entrance.hidden = true;
  page.chat.hidden = false;
  page["room-title"].textContent = roomId;
  page["room-title"].title = roomId;
  document.title = `${roomId} · Foghorn`;
  page.trouble.hidden = true;
  room = new Room(roomId, username);
  // On a phone the focus would raise the keyboard over the conversation.
  (NARROW.matches ? page["room-title"] : page.text).focus();
}

function showEntrance() {
  const left = room;
  room = null;
  left?.leave();
  remember("foghorn.inside", "", sessionStorageOrNull());
  closePeople();
  page.chat.hidden = true;
  page.entrance.hidden = false;
  page["join-notice"].hidden = true;
  document.title = "Foghorn";
  page.name.value ||= recall("foghorn.name") ?? "";
  page.room.value = roomInAddress() ?? recall("foghorn.room") ?? DEFAULT_ROOM;
  (page.name.value ? page.join.querySelector("button") : page.name).focus();
}

function roomInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("room") || null;
}

page.join.addEventListener("submit", (event) => {
  event.preventDefault();
  const username = page.name.value.trim();
  const roomId = page.room.value.trim();
  const fault = faultIn(username, "Your name", NAME_BYTES_MAX) ?? faultIn(roomId, "The room", ROOM_BYTES_MAX);
  page["join-notice"].textContent = fault ?? "";
  page["join-notice"].hidden = fault === null;
  if (fault === null) enter(roomId, username);
});

/** What the server would refuse; null if nothing. */
function faultIn(value, what, bytesMax) {
  if (value === "") return `${what} is missing.`;
  if (new TextEncoder().encode(value).length > bytesMax) return `${what} is too long.`;
  return /\p{Cc}/u.test(value) ? `${what} contains characters that cannot be printed.` : null;
}

/* Composer */

function send() {
  const content = page.text.value.trim();
  if (content === "" || room === null || page.state.dataset.state === "ended") return;
  room.publish(content);
  page.text.value = "";
  fitComposer();
}

function fitComposer() {
  page.text.style.height = "auto";
  page.text.style.height = `${page.text.scrollHeight}px`;
}

page.text.addEventListener("input", fitComposer);
page.text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
page.composer.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
  page.text.focus();
});

/* The list of people, a drawer on narrow pages */

function openPeople() {
  page.people.classList.add("open");
  page.veil.hidden = false;
  page.conversation.inert = true;
  page["people-open"].setAttribute("aria-expanded", "true");
  page["people-close"].focus();
}

function closePeople() {
  if (!page.people.classList.contains("open")) return;
  page.people.classList.remove("open");
  page.veil.hidden = true;
  page.conversation.inert = false;
  page["people-open"].setAttribute("aria-expanded", "false");
  page["people-open"].focus();
}

page["people-open"].addEventListener("click", openPeople);
page["people-close"].addEventListener("click", closePeople);
page.veil.addEventListener("click", closePeople);
NARROW.addEventListener("change", closePeople);
addEventListener("keydown", (event) => event.key === "Escape" && closePeople());

/* Header */

page.leave.addEventListener("click", showEntrance);
page.share.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    toast("The link to this room is copied.");
  } catch {
    // No clipboard outside secure contexts.
    toast(location.href);
  }
});

let toastTimer = null;
function toast(words) {
  page.toast.textContent = words;
  page.toast.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (page.toast.hidden = true), 4_000);
}

/* Storage may be switched off; the page works without it. */

function sessionStorageOrNull() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

function localStorageOrNull() {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

function remember(key, value, storage = localStorageOrNull()) {
  try {
    storage?.setItem(key, value);
  } catch {
    // Full or forbidden.
  }
}

function recall(key, storage = localStorageOrNull()) {
  return storage?.getItem(key) ?? null;
}

/* The window */

addEventListener("online", () => room?.retry());
addEventListener("popstate", followAddress);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  room?.seen();
  room?.retry();
});

/** Safari lays its keyboard over the page: the page ends where the keyboard begins. */
visualViewport?.addEventListener("resize", () => {
  if (visualViewport.scale === 1) document.documentElement.style.setProperty("--height", `${visualViewport.height}px`);
});

/** The address names the room: going back, or another link to this page, leaves the present one. */
function followAddress() {
  if (room === null || roomInAddress() !== room.roomId) showEntrance();
}

const inside = recall("foghorn.inside", sessionStorageOrNull());
const name = recall("foghorn.name");
// A reload stays in the room.
if (inside && inside === location.hash && name) enter(roomInAddress(), name);
else showEntrance();
