// One chat member on the `ws` library, for the room that Python and Node share. Prints every frame it gets, a line each;
// publishes one message for every line it reads; closes normally at the end of its input.
import { createInterface } from "node:readline";
import WebSocket from "ws";

const socket = new WebSocket(process.argv[2]);
socket.on("message", (data) => console.log(String(data)));
socket.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
socket.on("open", () => {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => socket.send(JSON.stringify({ content: line })));
  lines.on("close", () => socket.close(1000));
});
