//! The users of a room, each with one session or several.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

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
