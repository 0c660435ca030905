//! What a client of the JSON chat is shown.

use super::*;

impl Client {
    pub(super) fn on_chat(&mut self, json: &Value, around: &mut Around<'_>) -> Result<(), Wrong> {
        let kind = json["type"].as_str().unwrap_or_default();
        if let (Some(time), Some(follower)) = (json["timestamp"].as_str(), &self.follower)
            && matches!(kind, "WELCOME" | "GAP" | "ERROR" | "ACK")
        {
            follower.check_time(time)?;
        }
        match kind {
            "WELCOME" => self.on_welcome(json, around),
            "GAP" => self.on_gap(json, around),
            "ERROR" => {
                let content = json["clientId"].as_str().and_then(|id| self.by_id.get(id)).cloned();
                let name = self.name();
                around.story.tell(|| format!("{name} is told of an error: {}", json["code"]));
                self.was_told_error = true;
                match content {
                    Some(content) => {
                        around.model.refuse(&content);
                        self.unseen.retain(|unseen| *unseen != content);
                    }
                    // It may be of any of those without an id.
                    None => self.unseen.clear(),
                }
                if json["code"] == "id_reused" {
                    return Err(format!("an id was taken for another's: {json}"));
                }
                Ok(())
            }
            "ACK" => {
                let content = json["clientId"].as_str().and_then(|id| self.by_id.get(id)).cloned();
                let content = content.ok_or_else(|| format!("an id that was not given: {json}"))?;
                let seq = json["seq"].as_u64().ok_or_else(|| format!("without a number: {json}"))?;
                self.unseen.retain(|unseen| *unseen != content);
                around.model.acknowledge(&content, seq)
            }
            _ => {
                let (seq, entry) = entry_of(json)?;
                self.unseen.retain(|unseen| *unseen != entry.content);
                let name = self.name();
                around
                    .story
                    .tell(|| format!("{name} is shown {seq}: {} {}", entry.kind, short(&entry.content)));
                let follower = self.follower.as_mut().ok_or("an entry comes before the WELCOME")?;
                if json["roomId"] != follower.room.as_str() {
                    return Err(format!("an entry of another room: {json}"));
                }
                follower.take(around.model, around.disk, seq, &entry)
            }
        }
    }

    pub(super) fn on_welcome(&mut self, json: &Value, around: &mut Around<'_>) -> Result<(), Wrong> {
        let epoch = json["epoch"].as_str().and_then(|epoch| u64::from_str_radix(epoch, 16).ok());
        let (epoch, head) =
            epoch.zip(json["seq"].as_u64()).ok_or_else(|| format!("a WELCOME without: {json}"))?;
        if self.follower.is_some() {
            return Err("a second WELCOME".into());
        }
        if let Some((from, until)) = around.bans.get(&(self.plan.room, self.plan.user))
            && self.asked_at > *from
            // A ban survives the process, not the machine.
            && !around.plan.faults.contains(&Fault::PowerLoss)
            && around.elapsed < *until
        {
            return Err(format!("{} is let into {} while banned", self.user(), self.room()));
        }
        self.follower = Some(self.follower_from(epoch, head)?);
        let name = self.name();
        around
            .story
            .tell(|| format!("{name} is welcome in {} {epoch:016x}, which stands at {head}", self.room()));
        Ok(())
    }

    /// What comes after the beginning that was asked for, in a log that stands at `head`.
    pub(super) fn follower_from(&self, epoch: u64, head: u64) -> Result<Follower, Wrong> {
        let mut follower = Follower {
            room: self.followed(),
            keeps_little: self.plan.door == Door::Raw,
            epoch,
            next: Next::Exactly(head + 1),
            seq: head,
            time: String::new(),
            expects_gap: false,
            entries: 0,
        };
        match (self.start, &self.position) {
            (From::Live, _) => {}
            (From::Seq(seq), _) if seq <= head => {
                (follower.next, follower.seq) = (Next::Exactly(seq + 1), seq)
            }
            (From::Seq(_), _) => follower.expects_gap = true,
            (From::Last(count), _) => {
                let seq = head.saturating_sub(count);
                (follower.next, follower.seq) = (Next::From(seq + 1), seq);
            }
            (From::Position, Some(position)) if position.epoch == epoch => {
                if position.seq > head {
                    return Err(format!(
                        "{} has forgotten what comes after {head}, under the same epoch",
                        self.room()
                    ));
                }
                (follower.next, follower.seq) = (Next::Exactly(position.seq + 1), position.seq);
                follower.time.clone_from(&position.time);
            }
            (From::Time, Some(position)) => {
                follower.next = Next::LaterThan(position.time.clone(), head);
                follower.time.clone_from(&position.time);
            }
            (From::Position | From::Time, _) => follower.expects_gap = true,
        }
        Ok(follower)
    }

    pub(super) fn on_gap(&mut self, json: &Value, around: &mut Around<'_>) -> Result<(), Wrong> {
        let epoch = json["epoch"].as_str().and_then(|epoch| u64::from_str_radix(epoch, 16).ok());
        let gap = json["from"].as_u64().zip(json["to"].as_u64());
        let (epoch, gap) = epoch.zip(gap).ok_or_else(|| format!("a GAP without: {json}"))?;
        let name = self.name();
        around.story.tell(|| format!("{name} is told of a gap {gap:?} in {epoch:016x}"));
        let may_skip = around.plan.on_lag == "gap" || matches!(self.start, From::Time);
        // What it said itself may be among what is missing.
        self.unseen.clear();
        let follower = self.follower.as_mut().ok_or("a GAP comes before the WELCOME")?;
        follower.skip(around.model, gap, epoch, may_skip)
    }
}
