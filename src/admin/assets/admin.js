// The dashboard: puts what the server tells into the page, and carries out what the operator decides.
import { Connection } from "./connection.js";
import { clusterState, duration, moment } from "./figures.js";
import { Plots } from "./plots.js";
import { addEnded, showPeople, showRooms, showShards } from "./tables.js";

/** How often the tables are read anew while nobody is in them; less often where searches take long. */
const REFRESH = 3000;
/** The server looks for rooms and people during a twentieth of the time at most. */
const REST = 20;
const TOAST = 6000;

const byId = (id) => document.getElementById(id);
const connection = new Connection();
let plots;
let before;
let isFirst = true;
/** The room whose people are shown, if only of one. */
let room;

function visible(id, isShown) {
  byId(id).hidden = !isShown;
}

function toast(text) {
  byId("toast").textContent = text;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => (byId("toast").textContent = ""), TOAST);
}

connection.addEventListener("state", ({ detail }) => {
  byId("state").classList.toggle("good", detail.connected);
  byId("state-text").textContent = detail.connected ? "Live" : "Connecting…";
  if (detail.connected) {
    visible("entrance", false);
    visible("refusal", false);
    visible("dashboard", true);
    plots ??= new Plots(byId("plots"));
    before = undefined;
    refresh(true);
  }
});

connection.addEventListener("token", ({ detail }) => {
  byId("state-text").textContent = "Not connected";
  visible("dashboard", false);
  visible("entrance", true);
  byId("entrance-problem").textContent = detail.problem;
  byId("token").value = "";
  byId("token").focus();
});

connection.addEventListener("refused", ({ detail }) => {
  byId("state-text").textContent = "Refused";
  visible("dashboard", false);
  visible("refusal", true);
  byId("refusal").textContent = detail.problem;
});

connection.addEventListener("stats", ({ detail: stats }) => {
  const now = moment(before, stats);
  plots.add(Date.now() / 1000, now);
  showShards(byId("shards"), now.shards);
  byId("about").textContent = `${stats.version}, up ${duration(stats.uptime)}, store ${stats.store}${clusterState(stats.cluster)}`;
  before = stats;
});

connection.addEventListener("ended", ({ detail }) => {
  visible("ended-none", false);
  visible("ended-table", true);
  // After a restart of the connection the server tells of all that it remembers.
  if (isFirst) byId("ended").replaceChildren();
  isFirst = false;
  addEnded(byId("ended"), detail);
});
connection.addEventListener("state", ({ detail }) => (isFirst ||= !detail.connected));

async function showFound(kind, question, show) {
  try {
    const found = await connection.ask(question);
    if (!found) return;
    const rows = found.rooms ?? found.members;
    const text = found.matched > rows.length ? `${rows.length} of ${found.matched} are shown` : `${found.matched} found`;
    if (byId(`${kind}-count`).textContent !== text) byId(`${kind}-count`).textContent = text;
    show(byId(kind), found, act);
  } catch (error) {
    byId(`${kind}-count`).textContent = error.message;
  }
}

function searchRooms() {
  return showFound("rooms", { type: "rooms", search: byId("rooms-text").value }, showRooms);
}

function searchPeople() {
  const question = { type: "members", search: byId("people-text").value };
  return showFound("people", room === undefined ? question : { ...question, room }, showPeople);
}

/** Reads the tables anew, unless somebody is about to press something there. */
async function refresh(always) {
  const isBusy = (id) => byId(id).contains(document.activeElement) || byId(id).matches(":hover");
  if (byId("dialog").open || document.hidden) return;
  if (always || !isBusy("rooms")) await searchRooms();
  if (always || !isBusy("people")) await searchPeople();
}

function showRoom(name) {
  room = name;
  visible("people-room", room !== undefined);
  byId("people-room-name").textContent = room === undefined ? "" : `In ${room}`;
  return searchPeople();
}

/** Asks whether it is meant; resolves with the time of a ban, or true; undefined if not. */
function confirm({ title, text, button, withTime }) {
  const dialog = byId("dialog");
  byId("dialog-title").textContent = title;
  byId("dialog-text").textContent = text;
  byId("dialog-confirm").textContent = button;
  visible("dialog-time", Boolean(withTime));
  dialog.returnValue = "";
  dialog.showModal();
  byId("dialog-cancel").focus();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue !== "yes" ? undefined : withTime ? byId("ban-time").value : true);
  });
}

async function carryOut(question, deed, done) {
  const answer = await confirm(question);
  if (answer === undefined) return;
  try {
    toast(done(await deed(answer)));
  } catch (error) {
    toast(error.message);
  }
  refresh(true);
}

const sessions = (count) => (count === 1 ? "1 session was closed." : `${count} sessions were closed.`);
const roomPath = (name) => `api/chat/rooms/${encodeURIComponent(name)}`;

async function kick(member, ban) {
  const query = new URLSearchParams({ username: member.username, ...(ban ? { ban } : {}) });
  const answer = await connection.request(`${roomPath(member.room)}/kick?${query}`, { method: "POST" });
  return (await answer.json()).closed;
}

const act = {
  people(of) {
    showRoom(of.room);
    byId("people-title").scrollIntoView();
    byId("people-title").focus();
  },

  async recording(of) {
    try {
      const answer = await connection.request(`admin/rooms/${encodeURIComponent(of.room)}/recording?kind=${of.kind}`);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = `${of.room}.jsonl`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
      toast("What the room has recorded is saved as a file.");
    } catch (error) {
      toast(error.message);
    }
  },

  closeSessions(of) {
    const question = { title: "Close all sessions?", text: `Everybody in ${of.room} is thrown out with 4001. The room stays.`, button: "Close sessions" };
    const deed = () => connection.ask({ type: "closeSessions", room: of.room });
    carryOut(question, deed, ({ closed }) => sessions(closed));
  },

  remove(of) {
    const question = { title: "Delete the room?", text: `${of.room} and everything that was said there is deleted for good, and everybody in it is thrown out.`, button: "Delete for good" };
    const deed = () => connection.request(roomPath(of.room), { method: "DELETE" });
    carryOut(question, deed, () => "The room is deleted.");
  },

  kick(member) {
    const question = { title: "Kick?", text: `All sessions of ${member.username} in ${member.room} are closed. ${member.username} may come back.`, button: "Kick" };
    carryOut(question, () => kick(member), sessions);
  },

  ban(member) {
    const question = { title: "Ban?", text: `All sessions of ${member.username} in ${member.room} are closed, and no door of the room lets ${member.username} in until the ban ends.`, button: "Ban", withTime: true };
    carryOut(question, (time) => kick(member, time), sessions);
  },

  disconnect(member) {
    const question = { title: "Disconnect?", text: `The connection of ${member.username || "this session"} is closed with 4001, whatever rooms it is in.`, button: "Disconnect" };
    const deed = () => connection.ask({ type: "disconnect", session: member.session });
    carryOut(question, deed, ({ closed }) => sessions(closed));
  },
};

byId("dialog-form").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("dialog").close("yes");
});
byId("dialog-cancel").addEventListener("click", () => byId("dialog").close());
byId("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  connection.start(byId("token").value.trim());
});
for (const [id, search] of [["rooms", searchRooms], ["people", searchPeople]]) {
  byId(`${id}-search`).addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  byId(`${id}-text`).addEventListener("input", search);
}
byId("people-all").addEventListener("click", () => showRoom(undefined));
async function refreshForEver() {
  const start = performance.now();
  if (!byId("dashboard").hidden) await refresh(false);
  setTimeout(refreshForEver, Math.max(REFRESH, REST * (performance.now() - start)));
}

setTimeout(refreshForEver, REFRESH);
connection.start();
