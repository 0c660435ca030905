//! Targets for [`crate::rooms`]: a log and a whole shard, each against a plain model.
//!
//! | file | subject |
//! |---|---|
//! | `log` | a log against a list of messages |
//! | `world` | a shard with all that is around it, against what each room's log should be |
//! | `room`, `member`, `poller` | the model: a room's log, what a member was sent, what a reader was answered |
//! | `store`, `peer`, `encoding` | a store, peers and an encoding that do what the input says |

mod encoding;
mod log;
mod member;
mod peer;
mod poller;
mod room;
mod store;
mod world;

pub use self::log::room_log;
pub use self::world::shard;

use super::Numbers;

#[cfg(test)]
mod tests {
    use super::{room_log, shard};
    use crate::cut::SplitMix;

    fn random(seed: u64, len: usize) -> Vec<u8> {
        let mut random = SplitMix(seed);
        (0..len).map(|_| u8::try_from(random.up_to(255)).expect("a byte")).collect()
    }

    #[test]
    fn a_log_does_what_a_list_of_messages_does() {
        for seed in 0..300 {
            room_log(&random(seed, 600));
        }
    }

    #[test]
    fn every_member_gets_every_message_once_in_order_or_an_exact_gap() {
        for seed in 0..2000 {
            shard(&random(seed, 400));
        }
        for seed in 0..40 {
            shard(&random(seed, 10_000));
        }
    }
}
