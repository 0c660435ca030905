// Bun's own server (uWebSockets) as a peer: an echo, and rooms by its publish.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    const url = new URL(request.url);
    const room = url.pathname === "/echo" ? null : url.search;
    if (!server.upgrade(request, { data: { room } })) return new Response("upgrade", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    maxPayloadLength: 16 * 1024 * 1024,
    backpressureLimit: 64 * 1024 * 1024,
    open(socket) {
      if (socket.data.room) socket.subscribe(socket.data.room);
    },
    message(socket, message) {
      if (socket.data.room) server.publish(socket.data.room, message);
      else socket.send(message);
    },
  },
});
console.log(`listening on http://127.0.0.1:${server.port}`);
