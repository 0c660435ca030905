//! The users of a room, each with one session or several.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::publisher::PresenceNotice;
use crate::rooms::message::kind::Kind;

/// The users of one room. A user with many tabs is one user.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Presence {
    sessions: HashMap<Arc<str>, u32>,
}

impl Presence {
    /// Counts one more session of `user`; hands out the one shared copy of the name.
    pub(in crate::rooms) fn enter(&mut self, user: &str) -> Arc<str> {
        if let Some((name, sessions)) =
            self.sessions.get_key_value(user).map(|(name, count)| (name.clone(), *count))
        {
            self.sessions.insert(name.clone(), sessions + 1);
            return name;
        }
        let name: Arc<str> = user.into();
        self.sessions.insert(name.clone(), 1);
        name
    }

    /// Counts one session of `user` less.
    pub(in crate::rooms) fn exit(&mut self, user: &Arc<str>) {
        if let Entry::Occupied(mut entry) = self.sessions.entry(user.clone()) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// How many users there were after each of these notices, if it is now after the last of them.
    pub(in crate::rooms) fn users_after(&self, notices: &[PresenceNotice]) -> Vec<usize> {
        let (mut sessions, mut users) = (HashMap::<&str, u32>::new(), self.users());
        let mut counts: Vec<usize> = Vec::with_capacity(notices.len());
        for PresenceNotice { kind, username, .. } in notices.iter().rev() {
            counts.push(users);
            let now = self.sessions.get(username).copied().unwrap_or(0);
            let count = sessions.entry(username).or_insert(now);
            match kind {
                Kind::Join => {
                    *count = count.saturating_sub(1);
                    users -= usize::from(*count == 0 && users > 0);
                }
                Kind::Leave => {
                    users += usize::from(*count == 0);
                    *count += 1;
                }
                Kind::Message | Kind::System => {}
            }
        }
        counts.reverse();
        counts
    }

    /// The users' names, sorted.
    pub(in crate::rooms) fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.sessions.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Users present.
    pub(in crate::rooms) fn users(&self) -> usize {
        self.sessions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::ids::StayId;

    #[test]
    fn what_is_told_late_tells_how_many_there_were() {
        let notice =
            |kind, user: &str| PresenceNotice { kind, stay: StayId(0), session_id: 0, username: user.into() };
        let mut presence = Presence::default();
        let alice = presence.enter("alice");
        let notices = [
            notice(Kind::Join, "alice"),
            notice(Kind::Join, "bob"),
            notice(Kind::Join, "alice"),
            notice(Kind::Leave, "bob"),
            notice(Kind::Leave, "alice"),
        ];
        assert_eq!(presence.users_after(&notices), [1, 2, 2, 1, 1]);
        presence.exit(&alice);
        assert_eq!(presence.users_after(&[notice(Kind::Leave, "alice"), notice(Kind::Leave, "eve")]), [1, 0]);
    }

    #[test]
    fn a_user_with_two_sessions_is_one_user_until_both_are_gone() {
        let mut presence = Presence::default();
        let name = presence.enter("alice");
        presence.enter("alice");
        presence.enter("bob");
        assert_eq!(presence.users(), 2);
        presence.exit(&name);
        assert_eq!(presence.users(), 2);
        presence.exit(&name);
        assert_eq!(presence.users(), 1);
    }
}
