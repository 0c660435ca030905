//! What a room keeps and for how long: durability and retention.

use std::time::Duration;

/// What a message has to survive before anyone is shown it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing: it is never stored.
    Off,
    /// Nothing: it is shown at once and stored soon.
    Async,
    /// The end of the process, by `kill -9` too.
    #[default]
    Commit,
    /// The loss of power.
    Fsync,
}

impl Durability {
    /// All of them, weakest first.
    pub const ALL: [Durability; 4] =
        [Durability::Off, Durability::Async, Durability::Commit, Durability::Fsync];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Durability::Off => "off",
            Durability::Async => "async",
            Durability::Commit => "commit",
            Durability::Fsync => "fsync",
        }
    }

    /// The durability of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Durability> {
        Durability::ALL.into_iter().find(|durability| durability.name() == name)
    }
}

/// How much of a room's log is kept; `None` is without limit. What exceeds any of the limits is deleted, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Messages kept at most.
    pub messages_max: Option<u64>,
    /// Bytes of senders and contents kept at most (the newest message is kept, of any size).
    pub bytes_max: Option<u64>,
    /// Messages older than this are deleted.
    pub age_max: Option<Duration>,
}

/// What one room has its own way. `None` takes the configuration's value; a limit of zero is "without limit".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomSettings {
    /// What its messages survive.
    pub durability: Option<Durability>,
    /// As [`Retention::messages_max`].
    pub messages_max: Option<u64>,
    /// As [`Retention::bytes_max`].
    pub bytes_max: Option<u64>,
    /// As [`Retention::age_max`].
    pub age_max: Option<Duration>,
}

impl RoomSettings {
    /// The retention that holds for the room where `general` is the configuration's.
    #[must_use]
    pub fn retention(&self, general: Retention) -> Retention {
        let limit = |own: Option<u64>, general| own.map_or(general, |own| (own > 0).then_some(own));
        Retention {
            messages_max: limit(self.messages_max, general.messages_max),
            bytes_max: limit(self.bytes_max, general.bytes_max),
            age_max: self.age_max.map_or(general.age_max, |own| (!own.is_zero()).then_some(own)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_overrides_what_it_names_and_lifts_what_it_sets_to_zero() {
        let hour = Duration::from_secs(3600);
        let general = Retention { messages_max: Some(10), bytes_max: Some(20), age_max: Some(hour) };
        assert_eq!(RoomSettings::default().retention(general), general);
        let own = RoomSettings {
            messages_max: Some(5),
            bytes_max: Some(0),
            age_max: Some(Duration::ZERO),
            durability: None,
        };
        assert_eq!(
            own.retention(general),
            Retention { messages_max: Some(5), bytes_max: None, age_max: None }
        );
        assert_eq!(own.retention(Retention::default()).messages_max, Some(5));
    }

    #[test]
    fn durabilities_have_names_and_an_order() {
        for durability in Durability::ALL {
            assert_eq!(Durability::from_name(durability.name()), Some(durability));
        }
        assert_eq!(Durability::from_name("Commit"), None);
        assert!(Durability::ALL.is_sorted());
    }
}
