//! The members of one room: dense, in blocks, in no order.

use super::member::Member;
use crate::rooms::values::Variant;

/// How many members a block has: what one thread sends to at a time, and what a small room waits for at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// A power of two, so that a position is found by a shift and a mask: this is done for each member and message.
    bits: u32,
}

impl BlockSize {
    /// 256 members: writing to them all takes less than a millisecond, for which the other rooms of the shard wait.
    // Fewer would hand over more jobs than they are worth, more would make small rooms of the shard wait for a huge one.
    pub const DEFAULT: BlockSize = BlockSize::new(256);

    /// Blocks of this many members.
    ///
    /// # Panics
    /// If that is no power of two.
    #[must_use]
    pub const fn new(members: usize) -> BlockSize {
        assert!(members.is_power_of_two(), "a block size is a power of two");
        BlockSize { bits: members.trailing_zeros() }
    }

    /// The number of members.
    #[must_use]
    pub const fn members(self) -> usize {
        1 << self.bits
    }

    /// The block of a position.
    pub(in crate::rooms) const fn block(self, position: usize) -> usize {
        position >> self.bits
    }

    /// The place of a position in its block.
    const fn place(self, position: usize) -> usize {
        position & (self.members() - 1)
    }
}

/// All members, at positions without holes.
///
/// Invariant: every block but the last is full, and no block is empty.
#[derive(Debug)]
pub(in crate::rooms) struct Members<P> {
    blocks: Vec<Vec<Member<P>>>,
    pub(in crate::rooms) block_size: BlockSize,
    /// How many want their messages compressed.
    deflated: usize,
    /// How many are sent the log as it is.
    plain: usize,
}

impl<P> Members<P> {
    /// None yet.
    pub(in crate::rooms) fn new(block_size: BlockSize) -> Members<P> {
        Members { blocks: Vec::new(), block_size, deflated: 0, plain: 0 }
    }

    pub(in crate::rooms) fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| ((self.blocks.len() - 1) << self.block_size.bits) + last.len())
    }

    pub(in crate::rooms) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(in crate::rooms) fn get(&self, position: usize) -> Option<&Member<P>> {
        self.blocks.get(self.block_size.block(position))?.get(self.block_size.place(position))
    }

    pub(in crate::rooms) fn get_mut(&mut self, position: usize) -> Option<&mut Member<P>> {
        self.blocks.get_mut(self.block_size.block(position))?.get_mut(self.block_size.place(position))
    }

    /// The members from this position to the end of its block.
    pub(in crate::rooms) fn block_from(&mut self, position: usize) -> &mut [Member<P>] {
        let block = self.blocks.get_mut(self.block_size.block(position));
        block.and_then(|block| block.get_mut(self.block_size.place(position)..)).unwrap_or_default()
    }

    pub(in crate::rooms) fn iter(&self) -> impl Iterator<Item = &Member<P>> {
        self.blocks.iter().flatten()
    }

    pub(in crate::rooms) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Member<P>> {
        self.blocks.iter_mut().flatten()
    }

    /// Adds a member behind all others; returns its position.
    pub(in crate::rooms) fn push(&mut self, member: Member<P>) -> usize {
        let position = self.len();
        self.deflated += usize::from(member.variant == Variant::Deflated);
        self.plain += usize::from(member.variant == Variant::Plain);
        match self.blocks.last_mut() {
            Some(last) if last.len() < self.block_size.members() => last.push(member),
            Some(_) => self.blocks.push(Vec::from([member])),
            None => self.blocks.push(Vec::from([member])),
        }
        debug_assert!(self.is_dense(), "every block but the last is full, and none is empty");
        position
    }

    /// Takes a member out; the last one moves to its position.
    pub(in crate::rooms) fn swap_remove(&mut self, position: usize) -> Option<Member<P>> {
        self.get(position)?;
        let block = self.blocks.last_mut()?;
        let mut member = block.pop()?;
        if block.is_empty() {
            self.blocks.pop();
        }
        if let Some(place) = self.get_mut(position) {
            std::mem::swap(place, &mut member);
        }
        self.deflated -= usize::from(member.variant == Variant::Deflated);
        self.plain -= usize::from(member.variant == Variant::Plain);
        debug_assert!(self.is_dense(), "every block but the last is full, and none is empty");
        Some(member)
    }

    /// Whether the two last blocks are as they have to be. The others do not change when members come and go.
    fn is_dense(&self) -> bool {
        let mut from_last = self.blocks.iter().rev();
        let last = from_last.next().is_none_or(|last| (1..=self.block_size.members()).contains(&last.len()));
        last && from_last.next().is_none_or(|block| block.len() == self.block_size.members())
    }

    /// Whether any member wants its messages compressed.
    pub(in crate::rooms) fn want_deflated(&self) -> bool {
        self.deflated > 0
    }

    /// Whether any member is sent the log as it is.
    pub(in crate::rooms) fn want_plain(&self) -> bool {
        self.plain > 0
    }

    /// Takes a block out, for [`Members::put_back`]. Meanwhile nothing else may be done here.
    pub(in crate::rooms) fn take_block(&mut self, number: usize) -> Vec<Member<P>> {
        self.blocks.get_mut(number).map(std::mem::take).unwrap_or_default()
    }

    /// Puts a block back that was taken.
    pub(in crate::rooms) fn put_back(&mut self, number: usize, block: Vec<Member<P>>) {
        if let Some(place) = self.blocks.get_mut(number) {
            *place = block;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::ids::{MemberKey, SessionKey};
    use crate::rooms::room::member::MemberState;
    use crate::rooms::timestamp::Timestamp;

    fn member(number: u32) -> Member<()> {
        let (session, key) = (SessionKey(0), MemberKey(number));
        Member {
            cursor: 0,
            sent_at: Timestamp::default(),
            session,
            peer: (),
            key,
            state: MemberState::Ready,
            variant: Variant::Plain,
        }
    }

    #[test]
    fn members_come_and_go_as_in_a_list() {
        let (mut members, mut list) = (Members::new(BlockSize::new(4)), Vec::new());
        for step in 0..5000_u32 {
            if step % 7 < 4 || list.is_empty() {
                assert_eq!(members.push(member(step)), list.len());
                list.push(step);
            } else {
                let position = (step as usize).wrapping_mul(7919) % list.len();
                let taken = members.swap_remove(position).map(|member| member.key.0);
                assert_eq!(taken, Some(list.swap_remove(position)));
            }
            assert_eq!((members.len(), members.is_empty()), (list.len(), list.is_empty()));
            assert!(members.swap_remove(list.len()).is_none());
        }
        assert!(members.iter().map(|member| member.key.0).eq(list.iter().copied()));
        let last = list.len() - 1;
        assert_eq!(members.get(last).map(|member| member.key.0), list.last().copied());
        assert!(members.get(last + 1).is_none() && members.get_mut(last).is_some());
        let block = members.take_block(1);
        assert_eq!(block.len(), 4);
        members.put_back(1, block);
        assert!(members.iter().map(|member| member.key.0).eq(list));
    }
}
