//! Bad input and floods against a real server process whose limits are small.
//!
//! Every attack that is nothing but bytes stands in a table and comes in three deliveries (whole, byte by byte, cut at
//! a random point); after each of them the witness is served, after a table memory, descriptors and log are looked at
//! (see `arena`). `README.md` beside this file has a line for each demand, and the tests that fail without its defence.
//!
//! | file | subject |
//! |---|---|
//! | `http` | requests, upgrades, paths |
//! | `frames` | frames, messages, the closing handshake |
//! | `deflate` | compressed messages |
//! | `rooms` | rooms, history, REST, JSON |
//! | `authentication`, `tokens` | who brings no token or two; what is wrong with tokens |
//! | `tls` | handshakes, records, alerts; `sealed` is the client that says what no library would |
//! | `limits`, `states` | every limit and how it is hit; every state and the deadline that ends it |
//! | `heartbeats` | pings, HEARTBEAT, a server that was stopped |
//! | `exhaustion` | descriptors, floods, resets, clients that do not read or wait no longer |

mod arena;
mod authentication;
mod deflate;
mod exhaustion;
mod frames;
mod heartbeats;
mod http;
mod limits;
mod rooms;
mod sealed;
mod states;
mod tls;
mod tokens;
