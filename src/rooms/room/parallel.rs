//! Several threads send to the members of one room.

use std::fmt;
use std::sync::Arc;

use super::member::{Delivered, Member, MemberState};
use crate::rooms::api::peer::Peer;
use crate::rooms::log::frames::{Log, SlicesTo};
use crate::rooms::values::Variant;

/// A block of a room's members, to be sent what it lacks of the log. The log is shared and does not change meanwhile.
#[derive(Debug)]
pub struct FanoutJob<P> {
    pub(in crate::rooms) log: Arc<Log>,
    /// The same compressed, if some members want that; it may begin later.
    pub(in crate::rooms) deflated: Option<Arc<Log>>,
    /// The newest message to be sent.
    pub(in crate::rooms) visible: u64,
    /// Which block.
    pub(in crate::rooms) number: usize,
    pub(in crate::rooms) members: Vec<Member<P>>,
    /// Members that the logs here do not help: their room sees to them.
    pub(in crate::rooms) behind: Vec<usize>,
    /// What the others were sent.
    pub(in crate::rooms) delivered: Delivered,
}

#[cfg(test)]
impl<P> FanoutJob<P> {
    /// A job without members.
    pub(crate) fn empty() -> FanoutJob<P> {
        FanoutJob {
            log: Arc::default(),
            deflated: None,
            visible: 0,
            number: 0,
            members: Vec::new(),
            behind: Vec::new(),
            delivered: Delivered::default(),
        }
    }
}

impl<P: Peer> FanoutJob<P> {
    /// Sends. Never waits.
    pub fn run(&mut self) {
        let last = self.visible;
        let mut plain = SlicesTo::new(&self.log, last);
        let mut deflated = self.deflated.as_ref().map(|log| SlicesTo::new(log, last));
        for (index, member) in self.members.iter_mut().enumerate() {
            if member.state != MemberState::Ready || member.cursor >= last {
                continue;
            }
            let slice = match member.variant {
                Variant::Plain => plain.after(member.cursor),
                Variant::Deflated => {
                    let deflated = deflated.as_mut().and_then(|slices| slices.after(member.cursor));
                    deflated.or_else(|| plain.after(member.cursor))
                }
                Variant::Encoded => None,
            };
            match slice {
                Some(slice) => self.delivered.add(member.send(slice, last)),
                None => self.behind.push(index),
            }
        }
    }
}

/// Threads that run fan-out jobs.
pub trait FanoutPool<P>: fmt::Debug + Send {
    /// How many jobs can be under way at the same time.
    fn parallelism(&self) -> usize;

    /// Carries out all jobs, and gives them back in any order.
    fn run(&self, jobs: Vec<FanoutJob<P>>) -> Vec<FanoutJob<P>>;
}

/// The thread of the shard alone.
#[derive(Clone, Copy, Debug)]
pub struct Sequential;

impl<P: Peer> FanoutPool<P> for Sequential {
    fn parallelism(&self) -> usize {
        1
    }

    fn run(&self, mut jobs: Vec<FanoutJob<P>>) -> Vec<FanoutJob<P>> {
        jobs.iter_mut().for_each(FanoutJob::run);
        jobs
    }
}
