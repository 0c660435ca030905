//! What readers of event streams and long polls are shown.

use super::*;

impl Client {
    pub(super) fn take_in_feed(
        &mut self,
        epoch: u64,
        seq: u64,
        entry: &Entry,
        around: &mut Around<'_>,
    ) -> Result<(), Wrong> {
        let name = self.name();
        self.unseen.retain(|unseen| *unseen != entry.content);
        around.story.tell(|| format!("{name} is shown {seq}: {} {}", entry.kind, short(&entry.content)));
        if self.follower.is_none() {
            self.follower = Some(self.first_of_feed(epoch, seq)?);
        }
        let Some(follower) = &mut self.follower else { return Ok(()) };
        if follower.epoch != epoch && follower.entries > 0 {
            return Err(format!("{seq} of {epoch:016x} comes without a gap"));
        }
        follower.epoch = epoch;
        follower.take(around.model, around.disk, seq, entry)
    }

    pub(super) fn skip_in_feed(
        &mut self,
        gap: (u64, u64),
        epoch: u64,
        around: &mut Around<'_>,
    ) -> Result<(), Wrong> {
        let name = self.name();
        // What it said itself may be among what is missing.
        self.unseen.clear();
        around.story.tell(|| format!("{name} is told of a gap {gap:?} in {epoch:016x}"));
        // A relay keeps no more than its window.
        let may_skip = around.plan.on_lag == "gap" || self.plan.door == Door::Raw;
        if self.follower.is_none() {
            let mut start = self.first_of_feed(epoch, gap.0)?;
            start.expects_gap = true;
            self.follower = Some(start);
        }
        match &mut self.follower {
            Some(follower) => follower.skip(around.model, gap, epoch, may_skip),
            None => Ok(()),
        }
    }

    /// The beginning of a feed that does not say where it is.
    pub(super) fn first_of_feed(&self, epoch: u64, seq: u64) -> Result<Follower, Wrong> {
        let mut follower = self.follower_from(
            epoch,
            seq.saturating_sub(1).max(match &self.position {
                Some(position) if self.start == From::Position && position.epoch == epoch => position.seq,
                _ => 0,
            }),
        )?;
        if matches!(self.start, From::Live | From::Last(_) | From::Seq(_)) || follower.expects_gap {
            (follower.next, follower.seq) = (Next::Exactly(seq), seq.saturating_sub(1));
        }
        Ok(follower)
    }

    pub(super) fn read_stream(&mut self, around: &mut Around<'_>) -> Result<(), Wrong> {
        self.state = if self.state == State::Asked { State::Inside } else { self.state };
        let is_chunked = self.head.as_ref().is_some_and(|head| head.field("Transfer-Encoding").is_some());
        if is_chunked {
            take_chunks(&mut self.input, &mut self.body)?;
        } else {
            self.body.append(&mut self.input);
        }
        while let Some(end) = self.body.windows(2).position(|bytes| bytes == b"\n\n") {
            let event: Vec<u8> = self.body.drain(..end + 2).collect();
            let event = String::from_utf8(event).map_err(|_| "an event is not text")?;
            self.on_event(&event, around)?;
        }
        Ok(())
    }

    pub(super) fn on_event(&mut self, event: &str, around: &mut Around<'_>) -> Result<(), Wrong> {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        let position = field("id: ")
            .map(|id| position_of(id).ok_or_else(|| format!("no position: {id}")))
            .transpose()?;
        let data: Option<Value> = field("data: ")
            .map(|data| serde_json::from_str(data).map_err(|error| format!("{error}: {data}")))
            .transpose()?;
        match (position, data) {
            (Some((epoch, seq)), None) => {
                let mut follower = self.follower_from(epoch, seq)?;
                match (self.start, &self.position) {
                    // It says from where it goes on.
                    (From::Live | From::Last(_) | From::Seq(_) | From::Time, _) => {
                        (follower.next, follower.seq) = (Next::Exactly(seq + 1), seq);
                        follower.expects_gap = true;
                    }
                    (From::Position, _) => {}
                }
                self.follower = Some(follower);
                Ok(())
            }
            (Some((epoch, _)), Some(json)) if json["type"] == "GAP" => {
                self.on_gap_of_feed(&json, epoch, around)
            }
            (Some((epoch, seq)), Some(json)) => {
                let (number, entry) = entry_of(&json)?;
                if number != seq {
                    return Err(format!("{seq} is the id of {json}"));
                }
                self.take_in_feed(epoch, seq, &entry, around)
            }
            (None, _) => Ok(()),
        }
    }

    pub(super) fn on_gap_of_feed(
        &mut self,
        json: &Value,
        epoch: u64,
        around: &mut Around<'_>,
    ) -> Result<(), Wrong> {
        let gap =
            json["from"].as_u64().zip(json["to"].as_u64()).ok_or_else(|| format!("a GAP without: {json}"))?;
        self.skip_in_feed(gap, epoch, around)
    }

    pub(super) fn on_poll(&mut self, head: &Head, body: &[u8], around: &mut Around<'_>) -> Result<(), Wrong> {
        if head.status != 200 {
            self.state = State::Leaving;
            self.line.iter().for_each(Line::finish);
            return Ok(());
        }
        self.state = if self.state == State::Asked { State::Inside } else { self.state };
        let text = String::from_utf8_lossy(body);
        let json: Value = serde_json::from_slice(body).map_err(|error| format!("{error}: {text}"))?;
        let position = head.field("Foghorn-Position").and_then(position_of);
        let (epoch, end) = position.ok_or("an answer without a position")?;
        let entries = json.as_array().ok_or("an answer that is no array")?;
        for value in entries {
            if value["type"] == "GAP" {
                self.on_gap_of_feed(value, epoch, around)?;
                continue;
            }
            let (seq, entry) = entry_of(value)?;
            self.take_in_feed(epoch, seq, &entry, around)?;
        }
        let time = self.follower.as_ref().map_or(String::new(), |follower| follower.time.clone());
        self.position = Some(Position { epoch, seq: end, time });
        (self.start, self.follower) = (From::Position, None);
        if self.state == State::Inside {
            let request = self.poll_request(&self.query(From::Position));
            self.send(request.as_bytes());
        }
        Ok(())
    }
}
