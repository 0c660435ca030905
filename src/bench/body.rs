//! What follows the stamp of a message: that it has come whole, and as it was sent.

/// What the content of a message consists of behind its stamp.
pub(super) const FILLER: u8 = b'x';

/// What follows the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing: it is the whole message.
    Here,
    /// This byte, and then whatever the server adds.
    Byte(u8),
    /// Whatever the server adds.
    Anything,
}

/// How far the payload of a message has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Body {
    /// Bytes up to the end of the stamp that are still to come.
    pub(super) before: u64,
    /// Bytes of filler that are still to come.
    pub(super) filler: u64,
    pub(super) end: End,
    pub(super) sound: bool,
}

impl Body {
    /// Takes the next bytes of the payload.
    #[inline]
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let (_, bytes) = split(bytes, &mut self.before);
        let (filler, bytes) = split(bytes, &mut self.filler);
        self.sound &= is_filler(filler);
        let Some(&next) = bytes.first() else { return };
        match self.end {
            End::Here => self.sound = false,
            End::Byte(byte) => {
                self.sound &= next == byte;
                self.end = End::Anything;
            }
            End::Anything => {}
        }
    }

    /// Whether all of it has come as it was sent, if this is the end of the payload.
    #[inline]
    pub(super) fn is_whole(&self) -> bool {
        self.sound && self.before == 0 && self.filler == 0 && !matches!(self.end, End::Byte(_))
    }
}

/// This number of bytes at most, and the bytes behind them.
fn split<'b>(bytes: &'b [u8], wanted: &mut u64) -> (&'b [u8], &'b [u8]) {
    let count = usize::try_from(*wanted).unwrap_or(usize::MAX).min(bytes.len());
    *wanted -= count as u64;
    bytes.split_at(count)
}

/// Without a branch for each byte, so that many are compared at a time.
fn is_filler(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |wrong, byte| wrong | (byte ^ FILLER)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_whole(end: End, pieces: &[&str]) -> bool {
        let mut body = Body { before: 4, filler: 3, end, sound: true };
        pieces.iter().for_each(|piece| body.take(piece.as_bytes()));
        body.is_whole()
    }

    #[test]
    fn a_body_is_whole_if_nothing_of_it_is_missing_changed_or_added() {
        for pieces in [&["STMPxxx"][..], &["ST", "MPx", "", "xx"], &["STMP", "xxx"]] {
            assert!(is_whole(End::Here, pieces), "{pieces:?}");
        }
        for pieces in [&["STMPxx"][..], &["STMPxxxx"], &["STMPxyx"], &["STMP"], &["ST"], &["STMPxx", "y"]] {
            assert!(!is_whole(End::Here, pieces), "{pieces:?}");
        }
        let quote = End::Byte(b'"');
        assert!(
            is_whole(quote, &["STMPxxx\",\"seq\":1}"]) && is_whole(quote, &["STMPxx", "x", "\"", "anything"])
        );
        assert!(!is_whole(quote, &["STMPxx\",\"seq\":1}"]) && !is_whole(quote, &["STMPxxx"]));
        assert!(!is_whole(quote, &["STMPxxxx\",\"seq\":1}"]));
    }
}
