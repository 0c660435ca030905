// The npm package `ws` as a peer: an echo, and rooms that relay what comes as it came.
import { createRequire } from "node:module";
import { createServer } from "node:http";

const require = createRequire(new URL("../../target/peers/", import.meta.url));
const { WebSocketServer } = require("ws");

const rooms = new Map();
const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

sockets.on("connection", (socket, request) => {
  const [path, room] = request.url.split("?");
  if (path === "/echo") {
    socket.on("message", (data, binary) => socket.send(data, { binary }));
    return;
  }
  let members = rooms.get(room);
  if (!members) rooms.set(room, (members = new Set()));
  members.add(socket);
  socket.on("message", (data, binary) => {
    for (const member of members) member.send(data, { binary });
  });
  socket.on("close", () => members.delete(socket));
});

server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
