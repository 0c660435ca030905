//! A target for the whole of a connection, from its first byte to the end of its socket.
//!
//! | file | subject |
//! |---|---|
//! | this one | one script, played with its bytes cut in different ways |
//! | `script` | what a client does, read from an input |
//! | `host` | the server, which takes its turns when it is told to, and its sockets |
//! | `transcript` | what the client received, without what differs by chance |

mod host;
mod script;
mod transcript;

use self::host::Host;
use self::script::Script;
use self::transcript::Transcript;

/// Scripts with more bytes to send than this are not sent in pieces of a few bytes.
const SMALL_PIECES_MAX: usize = 600;

/// A client of a whole server that does what the input says: requests, frames of every kind, silence, not reading, its
/// end. However its bytes are cut, it gets the same answers, and the same from its room; what it gets is well-formed; it is
/// rid of in time, and its memory is free again; and other clients are served meanwhile.
///
/// The first byte seeds the cuts, the rest is a [`Script`].
pub fn connection(input: &[u8]) {
    let Some((&seed, rest)) = input.split_first() else { return };
    let script = Script::read(rest);
    let whole = played(&script, None);
    let is_short = script.bytes() <= SMALL_PIECES_MAX;
    // Even seeds cut into large pieces.
    let seed = u64::from(if is_short { seed } else { seed & !1 });
    for cuts in [Some(Cuts::Random(seed)), is_short.then_some(Cuts::EveryByte)].into_iter().flatten() {
        let cut = played(&script, Some(cuts));
        // A client that does not read gets what fits; how much that is depends on the writes.
        if script.reads_all() {
            cut.agrees_with(&whole, &script);
        }
    }
}

/// How the bytes of a script arrive.
#[derive(Clone, Copy, Debug)]
enum Cuts {
    Random(u64),
    EveryByte,
}

/// What a script comes to.
fn played(script: &Script, cuts: Option<Cuts>) -> Transcript {
    let mut host = Host::start(script);
    let mut client = host.connect();
    for act in script.acts() {
        host.play(&mut client, act, cuts);
    }
    host.serves_a_witness();
    host.sees_the_end(&mut client);
    Transcript::read(&client.received, script)
}

#[cfg(test)]
mod tests {
    use super::connection;
    use crate::cut::SplitMix;

    #[test]
    fn a_client_gets_the_same_however_its_bytes_are_cut() {
        for seed in 0..60 {
            let mut random = SplitMix(seed);
            let input: Vec<u8> = (0..200).map(|_| u8::try_from(random.up_to(255)).expect("a byte")).collect();
            connection(&input);
        }
    }
}
