//! What a client of a relay is shown (`foghorn.raw`).

use super::*;

impl Client {
    /// A message of `foghorn.raw`.
    pub(super) fn on_raw(&mut self, bytes: &[u8], around: &mut Around<'_>) -> Result<(), Wrong> {
        let header = bytes.first_chunk::<20>().ok_or("a message without a header")?;
        let number = |at: usize| u64::from_be_bytes(header[at..at + 8].try_into().unwrap());
        let (epoch, seq, rest) = (number(4), number(12), &bytes[20..]);
        let name = self.name();
        match header[0] {
            1 => {
                let content = String::from_utf8(rest.to_vec()).map_err(|_| "a text is not UTF-8")?;
                let sender = around.model.sender_of(&content).unwrap_or_default().to_owned();
                let (kind, time) = ("MESSAGE".to_owned(), format!("{seq:020}"));
                let entry =
                    Entry { kind, sender, content, time, client_id: None, username: None, online: None };
                self.take_in_feed(epoch, seq, &entry, around)
            }
            2 => {
                let from = rest.first_chunk().map(|from| u64::from_be_bytes(*from));
                self.skip_in_feed((from.ok_or("a gap without")?, seq), epoch, around)
            }
            3 => {
                around.story.tell(|| format!("{name} is welcome in {epoch:016x}, which stands at {seq}"));
                self.follower = Some(self.follower_from(epoch, seq)?);
                Ok(())
            }
            _ => {
                self.was_told_error = true;
                self.unseen.clear();
                Ok(())
            }
        }
    }
}
