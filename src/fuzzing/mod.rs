//! What the fuzz targets run: one function per target, each with an oracle where there is one. A target's own body
//! is one line, so that the unit test below runs the same code on the committed corpus.
//!
//! | file | subject |
//! |---|---|
//! | `http`, `proxy` | HTTP and the opening handshake; the PROXY header |
//! | `ws`, `deflate` | frames and messages; compression |
//! | `json`, `token` | a plain reading of JSON, and of tokens with it |
//! | `stomp` | a STOMP session |
//! | `redis` | the answers and announcements of Redis |
//! | `rooms` | a log and a shard, each against a plain model |
//! | `connection` | a client of a whole server, its bytes cut in different ways |
//!
//! Not a part of the public API.

mod connection;
mod deflate;
mod http;
mod json;
mod proxy;
mod redis;
mod rooms;
mod stomp;
mod token;
mod ws;

pub(crate) use crate::cut::cut;
pub use connection::connection;
pub use deflate::deflate;
pub use http::{body, extensions, request_head};
pub use json::command;
pub use proxy::proxy_header;
pub use redis::redis;
pub use rooms::{room_log, shard};
pub use stomp::stomp;
pub use token::token;
pub use ws::{close, decoder, header, mask, utf8};

/// The numbers in an input, zero once it is used up.
struct Numbers<'i>(&'i [u8]);

impl Numbers<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// As many bytes as the next number says, or as there are.
    fn take(&mut self) -> &[u8] {
        let len = usize::from(self.next()).min(self.0.len());
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    type Target = fn(&[u8]);

    /// Every target by the name of its corpus.
    const TARGETS: &[(&str, Target)] = &[
        ("body", super::body),
        ("close", super::close),
        ("command", super::command),
        ("connection", super::connection),
        ("decoder", super::decoder),
        ("deflate", super::deflate),
        ("extensions", super::extensions),
        ("header", super::header),
        ("mask", super::mask),
        ("proxy_header", super::proxy_header),
        ("redis", super::redis),
        ("request_head", super::request_head),
        ("room_log", super::room_log),
        ("shard", super::shard),
        ("stomp", super::stomp),
        ("token", super::token),
        ("utf8", super::utf8),
    ];

    #[test]
    fn every_target_passes_on_its_committed_corpus() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let mut inputs = 0;
            for entry in fs::read_dir(corpora.join(name)).expect("each target has a corpus") {
                target(&fs::read(entry.unwrap().path()).unwrap());
                inputs += 1;
            }
            assert!(inputs > 0, "the corpus of {name} is empty");
        }
    }

    #[test]
    fn every_fuzz_target_is_listed_here() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
        let mut sources: Vec<_> = fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().path()).collect();
        sources.sort();
        let names: Vec<_> = sources.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
