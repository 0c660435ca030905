//! Counts per address and user: connections of an address, sessions of a user.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::reactor::key::Key;
use crate::transport::Outbound;

/// The bits of an IPv6 address that its owner does not choose: a customer is given a network of 64 bits at least.
const NETWORK_BITS: u128 = !0 << 64;

/// The address that a client is counted under: an IPv4 address by itself, also as seen through an IPv6 socket; of an
/// IPv6 address its network of 64 bits.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK_BITS)),
        IpAddr::V4(address) => IpAddr::V4(address),
    }
}

/// What a connection counts as. The address is kept in either case: the kernel forgets it when the client resets the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Not at all: addresses are not counted, or it is a proxy's.
    No(IpAddr),
    /// As one of the [network] of this address.
    Address(IpAddr),
    /// As one of an operator.
    Admin,
    /// As one that is turned away: there is no room for it, and it is told so.
    Rejected,
}

impl Counted {
    /// The address of this client, for operators. Of one that has reset its connection the port is 0.
    pub(crate) fn address(self, outbound: &Outbound) -> Option<SocketAddr> {
        let kept = match self {
            Counted::No(ip) | Counted::Address(ip) => Some(SocketAddr::new(ip, 0)),
            Counted::Admin | Counted::Rejected => None,
        };
        outbound.stream().peer_addr().ok().or(kept)
    }
}

/// Sessions of each user that are in chat rooms. Empty if they are not limited.
#[derive(Debug, Default)]
pub(crate) struct Users {
    sessions: HashMap<Box<str>, usize>,
    /// The users that each session has appeared as, nearly always one.
    names: HashMap<Key, Vec<Box<str>>>,
}

impl Users {
    /// Counts a session as one of `user`. False, and nothing is counted, if the user has `max` others.
    pub(crate) fn enter(&mut self, key: Key, user: &str, max: usize) -> bool {
        if self.names.get(&key).is_some_and(|names| names.iter().any(|name| **name == *user)) {
            return true;
        }
        let sessions = self.sessions.entry(user.into()).or_default();
        if *sessions >= max {
            return false;
        }
        *sessions += 1;
        self.names.entry(key).or_default().push(user.into());
        true
    }

    /// Invariant: the sessions of a user are those that have appeared as that user, and all of them are there.
    #[cfg(debug_assertions)]
    pub(crate) fn check(&self, is_there: impl Fn(Key) -> bool) {
        let mut sessions = HashMap::new();
        for (key, names) in &self.names {
            debug_assert!(is_there(*key), "a session that is gone is counted as {names:?}");
            for name in names {
                *sessions.entry(name.clone()).or_insert(0) += 1;
            }
        }
        debug_assert_eq!(self.sessions, sessions, "sessions of each user");
    }

    /// The session is over.
    pub(crate) fn leave(&mut self, key: Key) {
        if self.names.is_empty() {
            return;
        }
        for name in self.names.remove(&key).unwrap_or_default() {
            if let Entry::Occupied(mut sessions) = self.sessions.entry(name) {
                *sessions.get_mut() -= 1;
                if *sessions.get() == 0 {
                    sessions.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_64_bits_is_one_client_and_ipv4_is_counted_by_address() {
        let same =
            [("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"), ("::ffff:192.0.2.1", "192.0.2.1")];
        for (one, other) in same {
            assert_eq!(network(one.parse().unwrap()), network(other.parse().unwrap()), "{one} {other}");
        }
        let different = [("2001:db8:1:2::1", "2001:db8:1:3::1"), ("::ffff:192.0.2.1", "::ffff:192.0.2.2")];
        for (one, other) in different {
            assert_ne!(network(one.parse().unwrap()), network(other.parse().unwrap()), "{one} {other}");
        }
    }

    #[test]
    fn a_session_counts_once_for_each_user_and_is_forgotten_when_it_ends() {
        let [first, second, third] = [1, 2, 3].map(Key::from_bits);
        let mut users = Users::default();
        assert!(users.enter(first, "alice", 2) && users.enter(first, "alice", 2));
        assert!(users.enter(second, "alice", 2) && users.enter(second, "bob", 2));
        assert!(!users.enter(third, "alice", 2));
        users.leave(third);
        users.leave(second);
        users.leave(second);
        assert!(users.enter(third, "alice", 2));
        users.leave(first);
        users.leave(third);
        assert!(users.sessions.is_empty() && users.names.is_empty());
    }
}
