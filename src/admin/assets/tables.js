// The tables: rooms, people, sessions that have ended, shards. What names and texts say is always text, never HTML.
import { duration, write } from "./figures.js";
import { element } from "./plots.js";

const ENDED_MAX = 256;

/** A row whose cells say on small screens what column they are of. */
function row(cells) {
  const made = element("tr");
  for (const [label, content, className] of cells) {
    const cell = element("td", className ?? "");
    if (label) cell.dataset.label = label;
    if (content instanceof Node) cell.append(content);
    else cell.textContent = content;
    made.append(cell);
  }
  return made;
}

function actions(of, list) {
  const place = element("div", "actions");
  for (const { name, danger, act } of list) {
    const button = element("button", danger ? "small danger" : "small", name);
    button.type = "button";
    button.setAttribute("aria-label", `${name}: ${of}`);
    button.addEventListener("click", act);
    place.append(button);
  }
  return place;
}

function since(time) {
  return duration(Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000)));
}

export function showRooms(place, { rooms }, act) {
  place.replaceChildren(...rooms.map((room) => {
    const name = element("span", "name", room.room);
    const list = [
      { name: "People", act: () => act.people(room) },
      { name: "Recording", act: () => act.recording(room) },
    ];
    if (room.kind === "chat") {
      list.push({ name: "Close sessions", danger: true, act: () => act.closeSessions(room) });
      list.push({ name: "Delete", danger: true, act: () => act.remove(room) });
    } else {
      name.append(" ", element("span", "kind", room.kind));
    }
    return row([
      ["Room", name, "first"],
      ["Members", write("count", room.members), "number"],
      ["Newest", String(room.seq), "number"],
      ["Lag", room.lag ? `${write("count", room.lag)} (most ${write("count", room.lagMax)})` : "0", "number"],
      ["Memory", write("bytes", room.bytes), "number"],
      ["", actions(room.room, list)],
    ]);
  }));
}

export function showPeople(place, { members }, act) {
  place.replaceChildren(...members.map((member) => {
    const who = member.username || "(no name)";
    const list = [];
    if (member.kind === "chat" && member.username) {
      list.push({ name: "Kick", danger: true, act: () => act.kick(member) });
      list.push({ name: "Ban", danger: true, act: () => act.ban(member) });
    }
    list.push({ name: "Disconnect", danger: true, act: () => act.disconnect(member) });
    const id = element("code", "", member.sessionId.slice(0, 12));
    id.title = member.sessionId;
    // A session in no room is somewhere all the same.
    const where = element("span", "name", member.room ?? "");
    if (member.path) where.append(member.room ? " " : "", element("span", "kind", member.path));
    const place = member.path ? `at ${member.path}` : `in ${member.room}`;
    return row([
      ["User", element("span", "name", who), "first"],
      ["Room", where],
      ["Lag", member.path ? "–" : write("count", member.lag), "number"],
      ["Address", member.address ?? "–"],
      ["Since", member.connectedAt ? since(member.connectedAt) : "–"],
      ["Session", id],
      ["", actions(`${who} ${place}`, list)],
    ]);
  }));
}

/** Adds those that have ended, newest first. */
export function addEnded(place, { sessions }) {
  const rows = sessions.map((session) => row([
    ["When", new Date(session.at).toLocaleTimeString([], { hour12: false }), "first"],
    ["User", element("span", "name", session.username ?? "–")],
    ["Room", element("span", "name", session.room ?? "–")],
    ["Path", session.path ?? "–"],
    ["Address", session.address ?? "–"],
    ["Code", String(session.code), "number"],
    ["Why", session.reason],
  ]));
  place.prepend(...rows.reverse());
  while (place.childElementCount > ENDED_MAX) place.lastElementChild.remove();
}

export function showShards(place, shards) {
  place.replaceChildren(...shards.map((shard, index) => row([
    ["Shard", String(index), "number"],
    ["Load", write("percent", shard.load), "number"],
    ["Rooms", write("count", shard.rooms), "number"],
    ["Members", write("count", shard.members), "number"],
    ["Messages/s", write("rate", shard.messageRate), "number"],
    ["Deliveries/s", write("rate", shard.deliveryRate), "number"],
    ["Lag", write("count", shard.lag), "number"],
    ["Memory", write("bytes", shard.windowBytes), "number"],
  ])));
}
