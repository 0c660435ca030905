// A TCP proxy whose connections can be cut: switching a browser offline does not end its WebSockets.
import { connect, createServer } from "node:net";

export class Proxy {
  #sockets = new Set();
  #server;
  #broken = false;

  /** Listens on a free port of 127.0.0.1 and passes everything on to `host`:`port`. */
  static async to({ hostname, port }) {
    const proxy = new Proxy();
    proxy.#server = createServer((near) => proxy.#join(near, connect({ host: hostname, port })));
    await new Promise((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Ends every connection and every further one, until `mend`. */
  break() {
    this.#broken = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend() {
    this.#broken = false;
  }

  close() {
    this.break();
    this.#server.close();
  }

  #join(near, far) {
    for (const [from, to] of [[near, far], [far, near]]) {
      this.#sockets.add(from);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
    if (this.#broken) near.destroy();
  }
}
