//! A user whose name was proved, and what the user may do.

use std::time::Duration;

/// A user whose name was proved, by a token or by an [`Interceptor`](crate::server::Interceptor).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    user: Box<str>,
    rooms: Option<Box<[Box<str>]>>,
    admin: bool,
    expires_at: Option<Duration>,
}

impl Identity {
    /// A user of that name, who may enter every room and lasts as long as the session.
    #[must_use]
    pub fn new(user: &str) -> Identity {
        Identity { user: user.into(), rooms: None, admin: false, expires_at: None }
    }

    /// Only these rooms; none at all if the list is empty.
    #[must_use]
    pub fn rooms<T: Into<Box<str>>>(mut self, rooms: impl IntoIterator<Item = T>) -> Identity {
        self.rooms = Some(rooms.into_iter().map(Into::into).collect());
        self
    }

    /// Whether the user may do what changes or shows things for others: kick, delete, publish in any name, see who is
    /// online and how the server is.
    #[must_use]
    pub fn admin(mut self, admin: bool) -> Identity {
        self.admin = admin;
        self
    }

    /// Ends the session then, counted from 1970 (UTC).
    #[must_use]
    pub fn expires_at(mut self, at: Duration) -> Identity {
        self.expires_at = Some(at);
        self
    }

    /// The user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether this is an administrator.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.admin
    }

    /// Whether there are rooms that the user may not enter.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.rooms.is_some()
    }

    /// Whether the user may enter this room, read it, publish to it.
    #[must_use]
    pub fn may_enter(&self, room: &str) -> bool {
        self.rooms.as_deref().is_none_or(|rooms| rooms.iter().any(|allowed| **allowed == *room))
    }

    /// The rooms that the user may enter; `None` if all of them.
    #[must_use]
    pub fn allowed_rooms(&self) -> Option<&[Box<str>]> {
        self.rooms.as_deref()
    }

    /// When the session has to end, counted from 1970 (UTC), if ever.
    #[must_use]
    pub fn expiry(&self) -> Option<Duration> {
        self.expires_at
    }

    /// Whether a session that began as `earlier` may go on as this one: the same user, and no room less.
    #[must_use]
    pub fn renews(&self, earlier: &Identity) -> bool {
        let rooms = match (&self.rooms, &earlier.rooms) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(rooms)) => rooms.iter().all(|room| self.may_enter(room)),
        };
        self.user == earlier.user && rooms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_rooms_is_compared_whole_and_no_list_allows_all() {
        let limited = Identity::new("u").rooms(["a", "b/c"]);
        for (room, allowed) in
            [("a", true), ("b/c", true), ("A", false), ("a ", false), ("b", false), ("", false)]
        {
            assert_eq!(limited.may_enter(room), allowed, "{room:?}");
        }
        assert!(Identity::new("u").may_enter("anything"));
        assert!(!Identity::new("u").rooms::<&str>([]).may_enter(""));
    }

    #[test]
    fn who_renews_is_the_same_user_and_keeps_every_room() {
        let (all, a, ab) =
            (Identity::new("u"), Identity::new("u").rooms(["a"]), Identity::new("u").rooms(["a", "b"]));
        let cases = [
            (&all, &all, true),
            (&all, &a, true),
            (&ab, &a, true),
            (&a, &a, true),
            (&a, &ab, false),
            (&a, &all, false),
        ];
        for (later, earlier, expected) in cases {
            assert_eq!(later.renews(earlier), expected, "{later:?} {earlier:?}");
        }
        assert!(!Identity::new("v").renews(&all));
    }
}
