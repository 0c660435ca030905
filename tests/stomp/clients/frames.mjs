// STOMP frames as the raw client reads and writes them; what it writes may be as wrong as the scenario wants it.

const UNESCAPED = { "\\n": "\n", "\\r": "\r", "\\c": ":", "\\\\": "\\" };

/** A frame exactly as a step says it: headers in that order, escaped, nothing added. */
export function encode(command, headers, body) {
  const lines = headers.map(([name, value]) => `${escape(name)}:${escape(value)}\n`);
  return Buffer.concat([Buffer.from(`${command}\n${lines.join("")}\n`), body, Buffer.from([0])]);
}

function escape(text) {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll(":", "\\c");
}

function unescape(text) {
  return text.replace(/\\./g, (found) => UNESCAPED[found] ?? found);
}

/** The frames of one WebSocket message of a server; an EOL between them is a frame `EOL`. */
export function* decode(message, version) {
  let at = 0;
  while (at < message.length) {
    if (message[at] === 0x0a) {
      at += 1;
      yield { command: "EOL", headers: {}, body: Buffer.alloc(0) };
      continue;
    }
    const end = message.indexOf("\n\n", at);
    if (end < 0) throw new Error("a frame without the end of its headers");
    const [command, ...lines] = message.toString("utf8", at, end).split("\n");
    const escaped = version !== "1.0" && command !== "CONNECTED";
    const headers = {};
    for (const line of lines) {
      const [name, value] = splitOnce(line).map((part) => (escaped ? unescape(part) : part));
      headers[name] ??= value;
    }
    const start = end + 2;
    const length = headers["content-length"];
    const stop = length === undefined ? message.indexOf(0, start) : start + Number(length);
    if (message[stop] !== 0) throw new Error("a frame without NUL at its end");
    yield { command, headers, body: message.subarray(start, stop) };
    at = stop + 1;
  }
}

function splitOnce(line) {
  const at = line.indexOf(":");
  if (at < 0) throw new Error("a header line without a colon");
  return [line.slice(0, at), line.slice(at + 1)];
}
