//! The rooms that a session is in.

use crate::reactor::api::join::Membership;

/// The rooms a session is in. Nearly always one at most, so only several take memory of their own.
#[derive(Debug, Default)]
pub(crate) enum Memberships {
    #[default]
    None,
    One(Membership),
    #[expect(
        clippy::box_collection,
        reason = "one word instead of three in every session that does not need it"
    )]
    Several(Box<Vec<Membership>>),
}

impl Memberships {
    pub(crate) fn as_slice(&self) -> &[Membership] {
        match self {
            Memberships::None => &[],
            Memberships::One(membership) => std::slice::from_ref(membership),
            Memberships::Several(memberships) => memberships,
        }
    }

    pub(crate) fn add(&mut self, membership: Membership) {
        match self {
            Memberships::None => *self = Memberships::One(membership),
            Memberships::One(first) => *self = Memberships::Several(Box::new(vec![*first, membership])),
            Memberships::Several(memberships) => memberships.push(membership),
        }
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, membership: Membership) -> bool {
        let found = self.as_slice().contains(&membership);
        match self {
            Memberships::None => {}
            Memberships::One(_) if found => *self = Memberships::None,
            Memberships::One(_) => {}
            Memberships::Several(memberships) => memberships.retain(|other| *other != membership),
        }
        found
    }
}
