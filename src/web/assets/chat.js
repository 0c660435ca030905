/** The chat page: the entrance, one room at a time, and what surrounds the conversation. */

import { Refusal, RoomConnection, RoomServer, randomId, userOf } from "./connection.js";
import { LogView, badge, element } from "./log.js";
import { Presence } from "./presence.js";

const HISTORY_COUNT = 50;
const ROOM_NAME_CHARS_MAX = 200;
const ROOMS_SHOWN_MAX = 50;
const NAME_BYTES_MAX = 64;
const ROOM_BYTES_MAX = 128;
const NAMES_SHOWN_MAX = 200;
const DEFAULT_ROOM = "lobby";
const NARROW = matchMedia("(max-width: 52rem)");
/** Milliseconds from a change of who is there to the question who it is; of a crowd not all ask at once. */
const PRESENCE_DELAY = 300;
const PRESENCE_DELAY_PER_USER = 20;
const PRESENCE_DELAY_MAX = 10_000;
/** Answers after which asking again is useless: not signed in, not allowed, not offered. */
const NOT_OFFERED = new Set([401, 403, 404, 405, 501]);
const UNAUTHORIZED = 401;
const CLOSE_UNAUTHENTICATED = 4401;

const ENDINGS = {
  1000: "The room was closed.",
  1003: "The server refused what this page sent.",
  1008: "The server refused the room or the name.",
  1009: "The server refused what this page sent: it is too long.",
  4001: "You were asked to leave the room.",
  4403: "You may not enter this room.",
  4401: "This server did not accept who you are. Enter a token.",
};
const FAILURES = {
  "too-big": "Not sent: too long.",
  unconfirmed: "The connection was lost and it is not known whether this arrived.",
  refused: "Not sent: the server refused it.",
};

const since = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const page = Object.fromEntries([...document.querySelectorAll("[id]")].map((found) => [found.id, found]));
/** The token for a server that asks for one. It lasts as long as the tab. */
let token = recall("foghorn.token", sessionStorageOrNull()) ?? "";
/** Begins the ids of all messages written in this tab. A name tells nobody apart: two people may have the same. */
const idPrefix = recall("foghorn.tab", sessionStorageOrNull()) ?? newPrefix();
const server = new RoomServer(document.baseURI, () => token);
let room = null;

/** A room that this page is in: the connection, the log and the list of people. */
class Room {
  #view;
  #presence;
  #connection;
  #ticker = null;
  #presenceTimer = null;
  #presenceOffered = true;
  #asking = false;
  #peopleFrame = null;
  #named;
  /** The epoch of the oldest message shown: numbers of another one mean other messages. */
  #epoch = null;
  #unread = 0;

  /** `title` is the room's name if it is known. */
  constructor(roomId, username, title) {
    this.roomId = roomId;
    this.username = username;
    this.#named = title !== undefined;
    this.#showName(title ?? roomId);
    const { scroller, log, pending, empty, newer, earlier } = page;
    const load = (before) => this.#earlier(before);
    const isOwn = (message) => this.#isOwn(message);
    this.#view = new LogView({ scroller, log, pending, empty, newer, earlier, username, isOwn, load });
    this.#presence = new Presence(username);
    this.#connection = new RoomConnection({
      url: chatEndpoint(),
      roomId,
      username,
      history: HISTORY_COUNT,
      token: () => token,
      idPrefix,
    });
    const on = (type, act) => this.#connection.addEventListener(type, ({ detail }) => act(detail));
    on("state", (state) => this.#showState(state));
    on("welcome", (welcome) => {
      this.#view.replaying = true;
      this.#epoch ??= welcome.epoch;
      if (!this.#named) this.#askName();
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
    on("stored", ({ id }) => this.#view.stored(id));
    on("failure", ({ id, content, reason, words }) => {
      const text = words ? `${FAILURES[reason]} (${words})` : FAILURES[reason];
      this.#view.failure(id, text, reason === "unconfirmed" ? () => this.publish(content) : null);
    });
    showComposer(true);
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
    cancelAnimationFrame(this.#peopleFrame);
    this.#dropQuestion();
  }

  /** Whether it was written here: in this tab or, where a token vouches for the name, by the same user elsewhere. */
  #isOwn({ sender, clientId }) {
    if (sender !== this.username) return false;
    return token !== "" || (clientId?.startsWith(idPrefix) ?? false);
  }

  #receive(message, live) {
    this.#view.message(message, live);
    if (this.#presence.receive(message, live)) this.#peopleChanged();
    if (live && document.hidden && message.type === "MESSAGE" && !this.#isOwn(message)) {
      this.#unread += 1;
      this.#showTitle();
    }
  }

  #showTitle() {
    document.title = `${this.#unread > 0 ? `(${this.#unread}) ` : ""}${this.title} · Foghorn`;
  }

  #showName(title) {
    this.title = title;
    page["room-title"].textContent = title;
    page["room-title"].title = title;
    this.#showTitle();
  }

  async #askName() {
    this.#named = true;
    try {
      const { name } = await server.room(this.roomId);
      if (room === this && name) this.#showName(name);
    } catch {
      // The id is name enough.
    }
  }

  async #earlier(before) {
    try {
      const { epoch, messages } = await server.earlier(this.roomId, before, HISTORY_COUNT);
      return epoch === this.#epoch ? messages : [];
    } catch (error) {
      if (error instanceof Refusal && NOT_OFFERED.has(error.status)) return [];
      if (room === this) toast("Earlier messages cannot be fetched now.");
      return null;
    }
  }

  #showState(state) {
    clearInterval(this.#ticker);
    if (state.name !== "open") this.#dropQuestion();
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
        showComposer(false);
        if (state.code === CLOSE_UNAUTHENTICATED) page["token-field"].hidden = false;
        if (room === this) showTrouble(endingText(state), "Back to the entrance", showEntrance);
    }
  }

  #countDown(retryAt) {
    const seconds = Math.max(1, Math.round((retryAt - Date.now()) / 1_000));
    page["trouble-when"].textContent = `Next attempt in ${seconds} s.`;
  }

  #peopleChanged() {
    // Once for each frame, however many come and go.
    this.#peopleFrame ??= requestAnimationFrame(() => {
      this.#peopleFrame = null;
      this.#showPeople();
    });
    // Without a connection the question waits for the next WELCOME.
    if (this.#connection.state.name !== "open") return;
    if (!this.#presenceOffered || this.#presenceTimer !== null || this.#asking) return;
    const spread = Math.min(this.#presence.count * PRESENCE_DELAY_PER_USER, PRESENCE_DELAY_MAX);
    this.#presenceTimer = setTimeout(() => this.#askWhoIsHere(), PRESENCE_DELAY + Math.random() * spread);
  }

  #dropQuestion() {
    clearTimeout(this.#presenceTimer);
    this.#presenceTimer = null;
  }

  /** The server's list is exact, unless somebody came or went while it was on its way: then it is asked for again. */
  async #askWhoIsHere() {
    this.#presenceTimer = null;
    this.#asking = true;
    const changes = this.#presence.changes;
    try {
      const users = await server.online(this.roomId);
      if (this.#presence.changes === changes) this.#presence.replace(users);
    } catch (error) {
      this.#presenceOffered = !(error instanceof Refusal && NOT_OFFERED.has(error.status));
    }
    this.#asking = false;
    if (room !== this) return;
    if (this.#presence.changes === changes) this.#showPeople();
    else this.#peopleChanged();
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
  const label = element("bdi", "name", name);
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

function enter(roomId, username, title) {
  remember("foghorn.name", username);
  remember("foghorn.room", roomId);
  const address = `#${new URLSearchParams({ room: roomId })}`;
  if (location.hash !== address) history.pushState(null, "", address);
  remember("foghorn.inside", address, sessionStorageOrNull());
  page.entrance.hidden = true;
  page.chat.hidden = false;
  page.trouble.hidden = true;
  room = new Room(roomId, username, title);
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
  showNotice(null);
  document.title = "Foghorn";
  page.name.value ||= recall("foghorn.name") ?? "";
  showToken();
  page.room.value = roomInAddress() ?? recall("foghorn.room") ?? DEFAULT_ROOM;
  (page.name.value ? page.enter : page.name).focus();
  showRooms();
}

function roomInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("room") || null;
}

page.join.addEventListener("submit", (event) => {
  event.preventDefault();
  const username = usernameOrNotice();
  if (username === null) return;
  const { id, name } = roomMeant(page.room.value.trim());
  const fault = faultIn(id, "The room", ROOM_BYTES_MAX);
  showNotice(fault);
  if (fault === null) enter(id, username, name);
});

/** A token says who its user is: then that is the name. */
function showToken() {
  page.token.value = token;
  if (token !== "") page["token-field"].hidden = false;
  const user = userOf(token);
  if (user !== null) page.name.value = user;
  page.name.readOnly = user !== null;
}

page.token.addEventListener("input", () => {
  token = page.token.value.trim();
  remember("foghorn.token", token, sessionStorageOrNull());
  showToken();
  if (token === "" || userOf(token) !== null) showRooms();
});

/** The user's name if it will do; else null, and the page says why not. */
function usernameOrNotice() {
  const username = page.name.value.trim();
  const fault = faultIn(username, "Your name", NAME_BYTES_MAX);
  showNotice(fault);
  if (fault === null) return username;
  page.name.focus();
  return null;
}

function showNotice(words) {
  page["join-notice"].textContent = words ?? "";
  page["join-notice"].hidden = words === null;
}

/** What the server would refuse; null if nothing. */
function faultIn(value, what, bytesMax) {
  if (value === "") return `${what} is missing.`;
  if (new TextEncoder().encode(value).length > bytesMax) return `${what} is too long.`;
  return /\p{Cc}/u.test(value) ? `${what} contains characters that cannot be printed.` : null;
}

/* The list of rooms */

let rooms = [];

/** Shows the list once it is there; without one the page is what it was. */
async function showRooms() {
  try {
    rooms = await server.rooms();
  } catch (error) {
    if (error instanceof Refusal) page.rooms.hidden = true;
    if (error.status === UNAUTHORIZED) page["token-field"].hidden = false;
    return;
  }
  page.rooms.hidden = false;
  page["rooms-list"].replaceChildren(...rooms.slice(0, ROOMS_SHOWN_MAX).map(roomChoice));
  page["rooms-none"].hidden = rooms.length > 0;
  page["rooms-more"].hidden = rooms.length <= ROOMS_SHOWN_MAX;
  page["rooms-more"].textContent = `The newest ${ROOMS_SHOWN_MAX} of ${rooms.length} rooms. Type the name of an older one above.`;
  // A link names a room by its id; people know it by its name.
  const linked = rooms.find(({ id }) => id === page.room.value);
  if (linked?.name) page.room.value = linked.name;
}

function roomChoice({ id, name, createdBy, createdAt }) {
  const title = element("bdi", "name", name || id);
  const day = since.format(new Date(createdAt));
  const origin = createdBy ? ["by ", element("bdi", "", createdBy), `, ${day}`] : day;
  const choice = element("button", "choice", [title, element("span", "hint", origin)]);
  choice.type = "button";
  choice.onclick = () => {
    const username = usernameOrNotice();
    if (username !== null) enter(id, username, name || undefined);
  };
  return element("li", "", [choice]);
}

/** The room that the words in the field mean: an id, the newest room of that name, or one to be opened by its first visitor. */
function roomMeant(words) {
  const linked = roomInAddress();
  const named = rooms.filter(({ name }) => name === words);
  const known = rooms.find(({ id }) => id === words) ?? named.find(({ id }) => id === linked) ?? named[0];
  return known ? { id: known.id, name: known.name || undefined } : { id: words };
}

function showCreation(open) {
  page.create.hidden = !open;
  page["create-open"].setAttribute("aria-expanded", String(open));
  (open ? page["new-room"] : page["create-open"]).focus();
}

page["create-open"].addEventListener("click", () => showCreation(page.create.hidden));
page.create.addEventListener("keydown", (event) => event.key === "Escape" && showCreation(false));
page.create.addEventListener("submit", async (event) => {
  event.preventDefault();
  const username = usernameOrNotice();
  if (username === null) return;
  const title = page["new-room"].value.trim();
  const fault = faultIn(title, "The name of the room", Infinity);
  showNotice([...title].length > ROOM_NAME_CHARS_MAX ? "The name of the room is too long." : fault);
  if (!page["join-notice"].hidden || page["create-send"].disabled) return;
  page["create-send"].disabled = true;
  try {
    const { id, name } = await server.create(title, username);
    page["new-room"].value = "";
    page.create.hidden = true;
    page["create-open"].setAttribute("aria-expanded", "false");
    // Whoever has gone elsewhere meanwhile finds it in the list.
    if (room === null) enter(id, username, name);
  } catch (error) {
    const words = error instanceof Refusal ? `The server says: ${error.message}` : "The server cannot be reached.";
    showNotice(`The room could not be created. ${words}`);
  } finally {
    page["create-send"].disabled = false;
  }
});

/* Composer */

/** Nothing can be written into a room that one is no longer in. */
function showComposer(open) {
  page.text.disabled = !open;
  page.send.disabled = !open;
  page.text.placeholder = open ? "Message" : "You are not in this room";
}

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

function newPrefix() {
  const prefix = randomId(8);
  remember("foghorn.tab", prefix, sessionStorageOrNull());
  return prefix;
}

/* The window */

addEventListener("online", () => room?.retry());
addEventListener("popstate", followAddress);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  if (room === null) showRooms();
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
