//! Users who must not come back into a room for a while.

use std::collections::HashMap;
use std::time::Duration;

use super::timestamp::Timestamp;

/// Bans remembered at most per shard; beyond it those that end first are forgotten.
const BANS_MAX: usize = 10_000;

/// The bans of one shard's rooms. They live in memory.
#[derive(Debug, Default)]
pub(super) struct Bans {
    ends: HashMap<(Box<str>, Box<str>), Timestamp>,
}

impl Bans {
    pub(super) fn add(&mut self, room: &str, user: &str, now: Timestamp, ban: Duration) {
        if self.ends.len() >= BANS_MAX {
            self.ends.retain(|_, end| *end > now);
        }
        if self.ends.len() >= BANS_MAX
            && let Some(first) = self.ends.iter().min_by_key(|(_, end)| **end).map(|(who, _)| who.clone())
        {
            self.ends.remove(&first);
        }
        let micros = u64::try_from(ban.as_micros()).unwrap_or(u64::MAX);
        let end = Timestamp::from_micros(now.micros().saturating_add(micros));
        self.ends.insert((room.into(), user.into()), end);
    }

    pub(super) fn holds(&self, room: &str, user: &str, now: Timestamp) -> bool {
        !self.ends.is_empty() && self.ends.get(&(room.into(), user.into())).is_some_and(|end| *end > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_holds_for_its_room_and_user_until_it_ends() {
        let mut bans = Bans::default();
        let at = Timestamp::from_micros;
        bans.add("r", "eve", at(0), Duration::from_micros(10));
        assert!(bans.holds("r", "eve", at(9)));
        assert!(!bans.holds("r", "eve", at(10)));
        assert!(!bans.holds("r", "bob", at(5)) && !bans.holds("s", "eve", at(5)));
    }
}
