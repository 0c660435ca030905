//! The sessions that have ended last, for operators who ask why somebody is gone.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::api::disconnect::Disconnect;
use super::incidents::cut;
use crate::system::since_epoch;
use crate::ws::CloseCode;

/// Sessions that are remembered: what an operator reads through, in less than 100 KiB.
const ENDED_MAX: usize = 256;

/// A session that has ended.
#[derive(Clone, Debug)]
pub(crate) struct EndedSession {
    /// Counts sessions that have ended, from 1.
    pub(crate) number: u64,
    /// Since 1970.
    pub(crate) at: Duration,
    pub(crate) session_id: u128,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) user: Option<Box<str>>,
    pub(crate) room: Option<Box<str>>,
    /// The path of its endpoint.
    pub(crate) path: Option<Arc<str>>,
    /// Of the Close frame, if there was one.
    pub(crate) code: Option<CloseCode>,
    pub(crate) because: Disconnect,
}

/// The sessions that have ended last, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    sessions: VecDeque<EndedSession>,
    count: u64,
}

impl Ended {
    pub(crate) fn note(
        &mut self,
        session_id: u128,
        address: Option<SocketAddr>,
        (user, room): (Option<&str>, Option<&str>),
        path: Option<Arc<str>>,
        (because, code): (Disconnect, Option<CloseCode>),
    ) {
        self.count += 1;
        if self.sessions.len() == ENDED_MAX {
            self.sessions.pop_front();
        }
        let [user, room] = [user, room].map(|name| name.map(|name| cut(name).into()));
        let (number, at) = (self.count, since_epoch());
        self.sessions.push_back(EndedSession {
            number,
            at,
            session_id,
            address,
            user,
            room,
            path,
            code,
            because,
        });
    }

    /// Those that are remembered and have ended after the one of this number.
    pub(crate) fn after(&self, number: u64) -> Vec<EndedSession> {
        self.sessions.iter().filter(|session| session.number > number).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered_with_bounded_names() {
        let mut ended = Ended::default();
        let long = "x".repeat(10_000);
        for number in 0..1000 {
            let end = (Disconnect::PeerGone, None);
            ended.note(number, None, (Some(&long), None), None, end);
        }
        let all = ended.after(0);
        assert_eq!(all.len(), ENDED_MAX);
        assert!(all.iter().all(|session| session.user.as_ref().unwrap().len() < 1000));
        let numbers: Vec<_> = ended.after(998).iter().map(|session| session.number).collect();
        assert_eq!(numbers, [999, 1000]);
        assert!(ended.after(1000).is_empty());
    }
}
