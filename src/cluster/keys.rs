//! What is kept where: the names of keys and channels.
//!
//! | key | kind | holds |
//! |---|---|---|
//! | `meta` | hash | `gen`, `n`: what this partition has gone through, see the script that appends |
//! | `r:<room>` | hash | the room: [`field`] |
//! | `s:<room>` | stream | its log; ids are `seq-0` |
//! | `i:<uid>:<sender bytes>:<sender><id>` | string | where a client's id was used: `seq at digest`; expires |
//! | `p:<room>` | hash | stay → `node\|session\|joinedAt µs\|user` |
//! | `u:<room>` | hash | user → number of sessions |
//! | `t:<room>` | sorted set | participants, by the number of their joining |
//! | `nodes` | sorted set | node → end of its lease |
//! | `n:<node>` | hash | room → number of stays that the node has in it |
//! | `rooms` | sorted set | public ids of rooms; all scores are 0 |
//! | `x` | sorted set | `<user bytes>:<user><room>` for each participant of each room; all scores are 0 |
//! | `imports` | sorted set | room whose import is not finished → µs of its last batch |
//! | `bans` | sorted set | `<room bytes>:<room><user>` → µs of its end |
//! | `cmd` | stream | commands |
//! | `nil` | none | never is: [`Partition::guard`] |
//!
//! All times are by the clock of Redis. Each name begins with `fh:`, the tag of the partition in braces, and a colon.
// Client ids go by the `uid` of the room, not by its name: a room that is made anew knows nothing of those of the one
// before. Participants are in one sorted set of the partition, not in a set for each user, so that a page of a user's
// rooms is a range of it.

use super::partition::Partition;

/// The fields of a room's hash that are asked for one by one.
///
/// | field | says |
/// |---|---|
/// | `uid` | 16 hex digits that no other room has, not even one of the same name |
/// | `epoch` | the epoch of the log, 16 hex digits |
/// | `seq`, `at` | the number of the newest message, and the time (µs) of the newest that ever was |
/// | `gen` | `gen` of the partition when the log was last written to |
/// | `tail`, `gone` | the number of the oldest message that is kept; the time (µs) of the newest that is not |
/// | `bytes` | the bytes of senders and contents that are kept; empty where they are not limited |
/// | `settings` | what the room has its own way, JSON: `settings`; absent: nothing |
/// | `made`, `by` | when it was created (µs), and by whom, if known |
/// | `title`, `about` | its title (absent: its public id); what it is for (absent: nothing) |
/// | `joins` | the number of the latest joining of a participant |
/// | `import` | while an import is not finished: whether the room was there before, `0` or `1` |
pub(super) mod field {
    pub(in crate::cluster) const UID: &str = "uid";
    pub(in crate::cluster) const ABOUT: &str = "about";
}

impl Partition {
    fn key(self, rest: std::fmt::Arguments<'_>) -> String {
        format!("fh:{{p{}}}:{rest}", self.tag())
    }

    /// What every name of the partition begins with.
    pub(super) fn prefix(self) -> String {
        self.key(format_args!(""))
    }

    /// A key that never is. Each script names it, so that none runs while only a part of the keys of a partition has come to
    /// another master of a Redis Cluster: such a command, some of whose keys are missing, is to be tried again.
    pub(super) fn guard(self) -> String {
        self.key(format_args!("nil"))
    }

    pub(super) fn meta(self) -> String {
        self.key(format_args!("meta"))
    }

    pub(super) fn room(self, room: &str) -> String {
        self.key(format_args!("r:{room}"))
    }

    pub(super) fn stream(self, room: &str) -> String {
        self.key(format_args!("s:{room}"))
    }

    pub(super) fn client_id(self, uid: &str, sender: &str, id: &str) -> String {
        self.key(format_args!("i:{uid}:{}:{sender}{id}", sender.len()))
    }

    pub(super) fn stays(self, room: &str) -> String {
        self.key(format_args!("p:{room}"))
    }

    pub(super) fn users(self, room: &str) -> String {
        self.key(format_args!("u:{room}"))
    }

    pub(super) fn participants(self, room: &str) -> String {
        self.key(format_args!("t:{room}"))
    }

    pub(super) fn nodes(self) -> String {
        self.key(format_args!("nodes"))
    }

    pub(super) fn rooms_of_node(self, node: &str) -> String {
        self.key(format_args!("n:{node}"))
    }

    pub(super) fn rooms(self) -> String {
        self.key(format_args!("rooms"))
    }

    pub(super) fn rooms_by_participant(self) -> String {
        self.key(format_args!("x"))
    }

    pub(super) fn imports(self) -> String {
        self.key(format_args!("imports"))
    }

    pub(super) fn bans(self) -> String {
        self.key(format_args!("bans"))
    }

    pub(super) fn commands(self) -> String {
        self.key(format_args!("cmd"))
    }

    /// Where it is announced what happens in the room.
    pub(super) fn channel(self, room: &str) -> String {
        self.key(format_args!("ch:r:{room}"))
    }

    /// Where a node says something to itself, to find out whether it still hears.
    pub(super) fn probe_channel(self, node: &str) -> String {
        self.key(format_args!("ch:probe:{node}"))
    }

    /// Where it is announced that there is a command.
    pub(super) fn command_channel(self) -> String {
        self.key(format_args!("ch:cmd"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_of_a_partition_have_its_tag_and_no_two_are_equal() {
        let partition = Partition::of("lobby");
        let tag = format!("fh:{{p{}}}:", partition.tag());
        let names = [
            partition.meta(),
            partition.room("lobby"),
            partition.stream("lobby"),
            partition.client_id("0", "ann", "7"),
            partition.client_id("0", "an", "n7"),
            partition.stays("lobby"),
            partition.users("lobby"),
            partition.participants("lobby"),
            partition.nodes(),
            partition.rooms_of_node("7"),
            partition.rooms(),
            partition.rooms_by_participant(),
            partition.imports(),
            partition.bans(),
            partition.commands(),
            partition.channel("lobby"),
            // A room of this name does not hear what the commands' channel says.
            partition.channel("cmd"),
            partition.command_channel(),
            partition.probe_channel("7"),
            partition.guard(),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(name.starts_with(&tag) && !names[..index].contains(name), "{name}");
        }
        assert_eq!(partition.prefix(), tag);
    }
}
